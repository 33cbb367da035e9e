import { afterEach, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import OpenAI from 'openai';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts';

const ROOT = resolve(import.meta.dir, '..', '..');
/** More than the 256 requests that the runtime runs at once unless the launcher says otherwise. */
const STREAMS = 300;

let running: (GatewayProcess | Simulator)[] = [];
afterEach(async () => {
  for (const part of running.reverse()) await part.stop();
  running = [];
});

async function gateway(settings: Record<string, string>, options: { awaitReady?: boolean } = {}) {
  const started = await startGatewayProcess(settings, options);
  running.push(started);
  return started;
}

async function studio(options: Partial<Parameters<typeof startSimulator>[0]> = {}): Promise<Simulator> {
  const started = await startSimulator({ kind: 'lm-studio', ...options });
  running.push(started);
  return started;
}

const settingsFor = (server: Simulator) => ({ LMSTUDIO_ENABLED: 'true', LMSTUDIO_URL: server.url });
const ask = (content: string) => [{ role: 'user' as const, content }];

/**
 * A streamed call over a plain socket, to the end marker: the test runner's own `fetch` runs at most 256 requests at
 * once, whatever the environment says.
 */
function rawStream(url: string, content: string): Promise<string> {
  const body = JSON.stringify({ model: 'auto', stream: true, messages: ask(content) });
  const head = [
    'POST /v1/chat/completions HTTP/1.1',
    `host: ${new URL(url).host}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () =>
      socket.write(`${head.join('\r\n')}\r\n\r\n${body}`),
    );
    socket.setEncoding('utf8');
    socket.on('data', (piece) => {
      text += piece;
      if (text.includes('[DONE]')) socket.end();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

describe('the gateway as a process of its own, started by its launcher', () => {
  test('serves without any model server: health tells it is unavailable, a call gets a typed error', async () => {
    const { url } = await gateway({ LLAMACPP_URL: 'http://127.0.0.1:9' }, { awaitReady: false });
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(200);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'anything', maxRetries: 0 });
    const call = client.chat.completions.create({ model: 'auto', messages: ask('hi') });
    expect(await call.catch((error: unknown) => error)).toBeInstanceOf(OpenAI.InternalServerError);
  });

  test(`runs ${STREAMS} streams at once`, async () => {
    const server = await studio({ slots: 1_000, replyTokens: 40, tokensPerSecond: 10 });
    const { url } = await gateway({ ...settingsFor(server), SWARMROUTER_MAX_CONCURRENT: '1000' });
    const texts = await Promise.all(
      Array.from({ length: STREAMS }, (_, number) => rawStream(url, `canary:N${number}-`)),
    );
    expect(texts.filter((text, number) => !text.includes(`canary:N${number}-`))).toEqual([]);
    expect(server.peakActive()).toBeGreaterThan(256);
  });

  test('SIGTERM lets a running stream finish, and the launcher exits with 0', async () => {
    const server = await studio({ replyTokens: 30, tokensPerSecond: 20 });
    const started = await gateway(settingsFor(server));
    const client = new OpenAI({ baseURL: `${started.url}/v1`, apiKey: 'anything', maxRetries: 0 });
    const stream = await client.chat.completions.create({ model: 'auto', stream: true, messages: ask('hi') });
    let stopping: Promise<number> | null = null;
    let finish: string | null = null;
    for await (const chunk of stream) {
      stopping ??= started.stop();
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    expect(finish).toBe('stop');
    expect(await stopping).toBe(0);
  });

  test('bad settings: exit code 2, and every problem is listed', async () => {
    const child = Bun.spawn(['node', join(ROOT, 'bin', 'swarmrouter.mjs'), 'start'], {
      cwd: import.meta.dir,
      env: { PATH: process.env['PATH'] ?? '', SWARMROUTER_PORT: 'eighty', SWARMROUTER_MAX_RETRYS: '3' },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const printed = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
    expect(await child.exited).toBe(2);
    expect(printed).toContain('eighty');
    expect(printed).toContain('SWARMROUTER_MAX_RETRIES');
  });
});
