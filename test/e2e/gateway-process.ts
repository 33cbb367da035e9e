import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from './llama-cpp/start.ts';

const LAUNCHER = resolve(import.meta.dir, '..', '..', 'bin', 'swarmrouter.mjs');
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
const KEPT_LOG = 6_000;

export interface GatewayProcess {
  readonly url: string;
  readonly adminKey: string;
  /** The end of what it has printed so far. */
  output(): string;
  /** Sends SIGTERM to the launcher and resolves with its exit code. */
  stop(): Promise<number>;
}

/**
 * Starts the gateway as a person does, through the launcher and with environment variables alone, on a free port and
 * with a data folder of its own. Resolves once it is ready for requests.
 * @param settings environment variables; nothing else of this process's environment reaches it but PATH and HOME
 * @param onOutput gets all that it prints, as it comes
 */
export async function startGatewayProcess(
  settings: Readonly<Record<string, string>>,
  { awaitReady = true, onOutput }: { awaitReady?: boolean; onOutput?: (text: string) => void } = {},
): Promise<GatewayProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-e2e-'));
  const port = freePort();
  const adminKey = 'end-to-end-admin-key';
  const child = Bun.spawn([Bun.which('node') ?? process.execPath, LAUNCHER, 'start'], {
    // An empty working folder: no .env and no swarmrouter.yaml of the checkout takes part.
    cwd: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? folder,
      SWARMROUTER_PORT: String(port),
      SWARMROUTER_DATA_DIR: join(folder, 'data'),
      SWARMROUTER_ADMIN_KEY: adminKey,
      LMSTUDIO_ENABLED: 'false',
      ...settings,
    },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const output = keepTail([child.stdout, child.stderr], onOutput);
  const stop = async (): Promise<number> => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    const code = await child.exited;
    clearTimeout(timer);
    rmSync(folder, { recursive: true, force: true });
    return code;
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await waitFor(`${url}${awaitReady ? '/ready' : '/health'}`, () => child.exitCode !== null);
  } catch (error) {
    await stop();
    throw new Error(`${error instanceof Error ? error.message : error}; the gateway printed:\n${output()}`);
  }
  return { url, adminKey, output, stop };
}

async function waitFor(url: string, ended: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + START_LIMIT_MS;
  while (performance.now() < giveUpAtMs) {
    if (ended()) throw new Error('the gateway ended at its start');
    const reply = await fetch(url).catch(() => null);
    if (reply?.ok) return;
    await Bun.sleep(50);
  }
  throw new Error(`no 200 from ${url} within ${START_LIMIT_MS / 1000} s`);
}

function keepTail(streams: readonly ReadableStream<Uint8Array>[], onOutput?: (text: string) => void): () => string {
  let tail = '';
  const drain = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true });
      onOutput?.(text);
      tail = (tail + text).slice(-KEPT_LOG);
    }
  };
  for (const stream of streams) drain(stream).catch(() => undefined);
  return () => tail.trim();
}
