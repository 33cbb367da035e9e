import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmokeReport {
  readonly version: string;
  /** The body of /health. */
  readonly health: unknown;
  /** How it ended after SIGTERM. */
  readonly exitCode: number | null;
  /** Everything it wrote. */
  readonly output: string;
}

const START_LIMIT_MS = 20_000;

/**
 * The least that any way of starting the gateway must do: tell its version, serve /health, end with 0 after SIGTERM.
 * @param command the program and its first arguments, such as `['dist/swarmrouter']`.
 * @throws Error with what the program wrote when it does not.
 */
export async function smokeTest(command: readonly [string, ...string[]]): Promise<SmokeReport> {
  const folder = await mkdtemp(join(tmpdir(), 'swarmrouter-smoke-'));
  try {
    const version = await readVersion(command, folder);
    return { version, ...(await serveOnce(command, folder)) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Where nobody listens: a model server that happens to run on this machine is none of the test's. */
const NOBODY = { LMSTUDIO_URL: 'http://127.0.0.1:9' };

/** Without the variables that the caller's own start may have set, so that the launcher has to set them. */
function cleanEnvironment(folder: string): NodeJS.ProcessEnv {
  const ours = /^(SWARMROUTER_|LMSTUDIO_|OPENROUTER_|AZURE_|OLLAMA_|LLAMACPP_|VLLM_|SGLANG_|BUN_)/;
  const rest = Object.entries(process.env).filter(([name]) => !ours.test(name));
  return { ...Object.fromEntries(rest), ...NOBODY, SWARMROUTER_DATA_DIR: join(folder, 'data'), SWARMROUTER_PORT: '0' };
}

function start([program, ...rest]: readonly [string, ...string[]], words: readonly string[], folder: string) {
  const child = spawn(program, [...rest, ...words], { cwd: folder, env: cleanEnvironment(folder) });
  let output = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const listener of listeners) listener();
    });
  }
  return { child, output: () => output, listeners };
}

async function readVersion(command: readonly [string, ...string[]], folder: string): Promise<string> {
  const { child, output } = start(command, ['--version'], folder);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command.join(' ')} --version ended with ${code}:\n${output()}`);
  return output().trim();
}

async function serveOnce(
  command: readonly [string, ...string[]],
  folder: string,
): Promise<Omit<SmokeReport, 'version'>> {
  const running = start(command, ['start'], folder);
  const closed = once(running.child, 'close');
  try {
    const url = await listeningUrl(running, closed);
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(START_LIMIT_MS) });
    const health: unknown = await reply.json();
    if (reply.status !== 200) throw new Error(`/health answered ${reply.status}: ${JSON.stringify(health)}`);
    running.child.kill('SIGTERM');
    const [exitCode] = await closed;
    return { health, exitCode, output: running.output() };
  } finally {
    if (running.child.exitCode === null) running.child.kill('SIGKILL');
  }
}

function listeningUrl(running: ReturnType<typeof start>, closed: Promise<unknown>): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${why}:\n${running.output()}`));
    const timer = setTimeout(() => fail(`it did not listen within ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    const look = (): void => {
      const url = /listens on (http:\/\/\S+)/.exec(running.output())?.[1];
      if (url === undefined) return;
      clearTimeout(timer);
      running.listeners.delete(look);
      resolve(url);
    };
    running.listeners.add(look);
    void closed.then(() => {
      clearTimeout(timer);
      fail('it ended before it listened');
    });
    look();
  });
}
