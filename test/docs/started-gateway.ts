import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { until } from '../support/gateway.ts';
import { ROOT } from './documents.ts';

/** The product as a user starts it: its own process, in front of simulated servers, in a folder of its own. */
export interface StartedGateway {
  readonly url: string;
  readonly dataDir: string;
  /** What it told people while it started. */
  readonly told: () => string;
  stop(): Promise<number>;
}

const START_MS = 10_000;

/**
 * Starts the command of `npm start` with a local server, a cloud provider and a route that the README's examples name.
 * Calls to any other address end at a proxy that hangs up, so that no test leaves the machine.
 */
export async function startFromCommandLine(): Promise<StartedGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-readme-'));
  const local = await startSimulator({ kind: 'lm-studio', models: [{ id: 'qwen2.5-7b-instruct' }] });
  const cloud = await startSimulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o-mini' }] });
  const proxy = await hangingUpProxy();
  const dataDir = join(folder, 'data');
  writeFileSync(join(folder, 'swarmrouter.yaml'), 'routes:\n  sturdy:\n    stream_recovery: continue\n');
  const child = Bun.spawn({
    cmd: ['node', join(ROOT, 'bin', 'swarmrouter.mjs'), 'start'],
    cwd: folder,
    env: environmentFor({ local, cloud, proxy, dataDir }),
    stdout: 'ignore',
    stderr: 'pipe',
  });
  let told = '';
  const reading = (async () => {
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) told += piece;
  })();
  const stop = async (): Promise<number> => {
    child.kill('SIGTERM');
    const exitCode = await child.exited;
    await reading;
    proxy.server.close();
    await Promise.all([local.stop(), cloud.stop()]);
    rmSync(folder, { recursive: true, force: true });
    return exitCode;
  };
  try {
    const url = await addressFrom(() => told, START_MS);
    await until('the gateway is ready', async () => (await fetch(`${url}/ready`)).ok, START_MS);
    return { url, dataDir, told: () => told, stop };
  } catch (error) {
    await stop();
    throw new Error(`the gateway did not start: ${told}`, { cause: error });
  }
}

function environmentFor(parts: {
  readonly local: Simulator;
  readonly cloud: Simulator;
  readonly proxy: { readonly url: string };
  readonly dataDir: string;
}): Record<string, string> {
  const { local, cloud, proxy, dataDir } = parts;
  return {
    PATH: process.env['PATH'] ?? '',
    SWARMROUTER_PORT: '0',
    SWARMROUTER_DATA_DIR: dataDir,
    LMSTUDIO_URL: local.baseUrl,
    OPENROUTER_API_KEY: 'key-for-the-simulator',
    OPENROUTER_BASE_URL: cloud.baseUrl,
    HTTP_PROXY: proxy.url,
    HTTPS_PROXY: proxy.url,
    NO_PROXY: '127.0.0.1,localhost',
  };
}

async function addressFrom(told: () => string, atMostMs: number): Promise<string> {
  const address = (): string | undefined => /listens on (http:\S+)/.exec(told())?.[1];
  await until('it says where it listens', () => address() !== undefined, atMostMs);
  return address() ?? '';
}

async function hangingUpProxy(): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((socket) => {
    // The other side may be gone already; there is nothing to tell it.
    socket.on('error', () => undefined);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return { server, url: `http://127.0.0.1:${address.port}` };
}
