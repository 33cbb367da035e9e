import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildExecutable } from '../../scripts/build.ts';
import { smokeTest } from '../../scripts/smoke.ts';
import { VERSION } from '../../src/version.ts';
import { until } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator } = runningParts();
const root = join(import.meta.dir, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-executable-'));
const executable = join(folder, 'swarmrouter');

beforeAll(() => buildExecutable(executable), 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('every way of starting the gateway', () => {
  test.each([
    ['node bin/swarmrouter.mjs, as npm start runs it', ['node', join(root, 'bin', 'swarmrouter.mjs')]],
    ['the single executable', [executable]],
  ] as [string, [string, ...string[]]][])(
    '%s: tells its version, serves /health, ends with 0 after SIGTERM',
    async (_name, command) => {
      const report = await smokeTest(command);
      expect(report.version).toBe(VERSION);
      expect(report.health).toMatchObject({ version: VERSION, status: 'unavailable' });
      expect(report.exitCode).toBe(0);
    },
    60_000,
  );
});

describe('the single executable', () => {
  test('reads .env itself: the line of a problem is told, which no runtime could have done', async () => {
    await Bun.write(join(folder, '.env'), '# settings\nSWARMROUTER_PORT=eighty\n');
    const child = Bun.spawn({
      cmd: [executable, 'check'],
      cwd: folder,
      env: { PATH: process.env['PATH'] },
      stderr: 'pipe',
      stdout: 'ignore',
    });
    expect(await new Response(child.stderr).text()).toContain('SWARMROUTER_PORT = "eighty" (.env line 2)');
    expect(await child.exited).toBe(2);
  });

  test('runs more than 256 streams at once, although nobody set the limit on fetches for it', async () => {
    const studio = await simulator({ kind: 'lm-studio', slots: 1_000, replyTokens: 10_000, tokensPerSecond: 1 });
    const child = Bun.spawn({
      cmd: [executable, 'start'],
      cwd: mkdtempSync(join(folder, 'many-')),
      env: {
        PATH: process.env['PATH'],
        SWARMROUTER_PORT: '0',
        SWARMROUTER_DATA_DIR: join(folder, 'data'),
        SWARMROUTER_MAX_CONCURRENT: '1000',
        LMSTUDIO_URL: studio.baseUrl,
      },
      stdout: 'ignore',
      stderr: 'pipe',
    });
    try {
      const port = await listeningPort(child.stderr);
      const sockets = Array.from({ length: 300 }, () => askForStream(port));
      await until('all of them reached the server', () => studio.active() === sockets.length, 20_000);
      for (const socket of sockets) socket.destroy();
      await until('all of them are gone', () => studio.active() === 0, 10_000);
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  }, 60_000);
});

async function listeningPort(output: ReadableStream<Uint8Array>): Promise<number> {
  let told = '';
  for await (const bytes of output) {
    told += new TextDecoder().decode(bytes);
    const port = /listens on http:\/\/\S+:(\d+)/.exec(told)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error(`it ended before it listened:\n${told}`);
}

/** A plain socket: under `bun test` the client's own fetch keeps to 256. */
function askForStream(port: number) {
  const body = JSON.stringify({ stream: true, messages: [{ role: 'user', content: 'hi' }] });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json`;
  const socket = connect(port, '127.0.0.1', () =>
    socket.write(`${head}\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
  );
  return socket.on('error', () => undefined);
}
