import { join } from 'node:path';
import type { Subprocess } from 'bun';
import type { LlamaServerProgram } from './program.ts';

export interface LlamaServerOptions {
  readonly program: LlamaServerProgram;
  /** Loopback port. Default: one that is free now. */
  readonly port?: number;
  /** Requests worked on at once; default 2. */
  readonly slots?: number;
  /** Tokens of context over all slots together; default 4096. */
  readonly contextSize?: number;
  /** The model's name on the wire; default `smollm2-135m-instruct`. */
  readonly alias?: string;
  /** Use the chat template with tools beside this file instead of the model's own, which knows none; default false. */
  readonly withTools?: boolean;
}

export interface LlamaServer {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves once /health says ok; rejects, with the server's last lines, when it ends before. */
  readonly ready: Promise<void>;
  /** Ends it at once, as a crash does (SIGKILL), and resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to end (SIGTERM), kills it after 5 s, and resolves when it is gone. */
  stop(): Promise<void>;
}

export const DEFAULT_ALIAS = 'smollm2-135m-instruct';

const TOOLS_TEMPLATE = join(import.meta.dir, 'tools.jinja');
const LOAD_LIMIT_MS = 90_000;
const POLL_EVERY_MS = 50;
const STOP_LIMIT_MS = 5_000;
const KEPT_LOG = 4_000;

/** Starts a server on loopback with one CPU thread and waits until its model is loaded. */
export async function startLlamaServer(options: LlamaServerOptions): Promise<LlamaServer> {
  const server = launchLlamaServer(options);
  await server.ready;
  return server;
}

/** Starts a server without waiting: until `ready` it is loading and refuses requests with 503. */
export function launchLlamaServer(options: LlamaServerOptions): LlamaServer {
  const port = options.port ?? freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = Bun.spawn([...options.program.command, ...flagsFor(options, port)], {
    // The pipe is the server's lifeline: it closes when this process ends, however it ends.
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const log = keepTail(child);
  const killAtExit = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killAtExit);
  void child.exited.then(() => process.off('exit', killAtExit));
  const ready = waitUntilLoaded(url, child, log);
  // Whoever does not look at `ready` (a test that kills a loading server) must not get an unhandled rejection.
  ready.catch(() => undefined);
  return { url, port, pid: child.pid, ready, kill: () => end(child, 'SIGKILL'), stop: () => end(child, 'SIGTERM') };
}

function flagsFor(options: LlamaServerOptions, port: number): string[] {
  const flags = {
    '--model': options.program.modelPath,
    '--alias': options.alias ?? DEFAULT_ALIAS,
    '--host': '127.0.0.1',
    '--port': port,
    '--parallel': options.slots ?? 2,
    '--ctx-size': options.contextSize ?? 4096,
    '--threads': 1,
    '--threads-batch': 1,
  };
  const template = options.withTools === true ? ['--chat-template-file', TOOLS_TEMPLATE] : [];
  return [...Object.entries(flags).flatMap(([name, value]) => [name, String(value)]), ...template];
}

async function waitUntilLoaded(url: string, child: Subprocess, log: () => string): Promise<void> {
  const giveUpAtMs = performance.now() + LOAD_LIMIT_MS;
  while (performance.now() < giveUpAtMs) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the llama.cpp server ended before it was ready; its last lines:\n${log()}`);
    }
    if (await isHealthy(url)) return;
    await Bun.sleep(POLL_EVERY_MS);
  }
  throw new Error(`the llama.cpp server was not ready within ${LOAD_LIMIT_MS / 1000} s; its last lines:\n${log()}`);
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) });
    await reply.body?.cancel();
    return reply.ok;
  } catch {
    return false;
  }
}

async function end(child: Subprocess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  await child.exited;
  clearTimeout(timer);
}

/** Drains both outputs (a full pipe would stop the server) and keeps the end of them. */
function keepTail(child: Subprocess<'pipe', 'pipe', 'pipe'>): () => string {
  let tail = '';
  const drain = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) tail = (tail + decoder.decode(chunk, { stream: true })).slice(-KEPT_LOG);
  };
  for (const stream of [child.stdout, child.stderr]) drain(stream).catch(() => undefined);
  return () => tail.trim();
}

/** A port that nobody listens on now; taken and released, so that a server can be restarted on the same one. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
  const { port } = listener;
  listener.stop(true);
  return port;
}
