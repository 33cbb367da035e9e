import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BareMode } from './bare.ts';
import { childrenOf, PinnedProcess, SUBJECT_CORE, TOOLS_CORE } from './process.ts';
import type { UpstreamPace, UpstreamStats } from './upstream.ts';

const ROOT = join(import.meta.dir, '..');
/** Without it fetch runs 256 requests at once; the launcher sets the same for the gateway. */
const BUN_ENVIRONMENT = { BUN_CONFIG_MAX_HTTP_REQUESTS: '65336' };

/** Something that takes chat requests: the gateway, a yardstick, or the upstream itself. */
export interface Subject {
  readonly name: string;
  readonly port: number;
  /** Whose CPU and memory count; null: the upstream, asked directly. */
  readonly pid: number | null;
  /** The Node process that launched it; null: none. */
  readonly launcherPid: number | null;
  stop(): Promise<void>;
}

export class Upstream implements Subject {
  readonly name = 'direct';
  readonly pid = null;
  readonly launcherPid = null;
  readonly port: number;
  readonly #process: PinnedProcess;
  #stopped = false;

  private constructor(process: PinnedProcess, port: number) {
    this.#process = process;
    this.port = port;
  }

  static async start(): Promise<Upstream> {
    const script = join(import.meta.dir, 'upstream.ts');
    const child = new PinnedProcess([process.execPath, script], { core: TOOLS_CORE, environment: BUN_ENVIRONMENT });
    return new Upstream(child, await child.printedPort());
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1`;
  }

  async pace(pace: UpstreamPace): Promise<void> {
    await this.#control({ method: 'POST', body: JSON.stringify(pace) });
  }

  async stats(): Promise<UpstreamStats> {
    return (await this.#control({ method: 'GET' })).json() as Promise<UpstreamStats>;
  }

  /** Waits until the streams that a client left have been noticed. */
  async quiet(withinMs = 10_000): Promise<void> {
    const giveUpAtMs = performance.now() + withinMs;
    while ((await this.stats()).streams > 0) {
      if (performance.now() > giveUpAtMs) throw new Error('streams stay open at the upstream after the clients left');
      await Bun.sleep(50);
    }
  }

  /** Still accepts connections, as the kernel does that, and answers nothing; or goes on. */
  freeze(frozen: boolean): void {
    if (!this.#stopped) this.#process.child.kill(frozen ? 'SIGSTOP' : 'SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    // A frozen process would not hear it.
    this.freeze(false);
    this.#stopped = true;
    await this.#process.stop();
  }

  #control(init: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}/control`, init);
  }
}

export async function startBare(mode: BareMode, upstreamUrl: string): Promise<Subject> {
  const script = join(import.meta.dir, 'bare.ts');
  const child = new PinnedProcess([process.execPath, script, mode, upstreamUrl], {
    core: SUBJECT_CORE,
    environment: BUN_ENVIRONMENT,
  });
  const port = await child.printedPort();
  return { name: `bare ${mode}`, port, pid: child.pid, launcherPid: null, stop: () => child.stop() };
}

export interface GatewayOptions {
  /** Whole replies are asked for as a stream and joined: the default for local targets. */
  readonly assemble: boolean;
  /** The compiled executable instead of `npm start`'s way. */
  readonly compiled?: boolean;
  /** Further upstreams beside the first. */
  readonly others?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** A data folder that was made before; it is left alone. Default: a new one. */
  readonly dataDir?: string;
  /** Beside the targets in swarmrouter.yaml. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export const COMPILED = join(ROOT, 'dist', process.platform === 'win32' ? 'swarmrouter.exe' : 'swarmrouter');
export const hasCompiled = (): boolean => existsSync(COMPILED);

/** A gateway that has been spawned; perhaps not ready yet. */
export interface GatewayProcess {
  readonly port: number;
  readonly process: PinnedProcess;
  /** Its output so far, for when it does not come up. */
  output(): string;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

/** As an operator starts it: through the launcher, settings in the environment and a file, log lines to a file. */
export async function spawnGateway(upstreamUrl: string, options: GatewayOptions): Promise<GatewayProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-bench-'));
  const port = await freePort();
  const targets = [upstreamUrl, ...(options.others ?? [])].map((url, index) => ({
    name: index === 0 ? 'bench' : `bench-${index + 1}`,
    kind: 'openai-compatible',
    url,
    place: 'local',
  }));
  // JSON is YAML.
  writeFileSync(join(folder, 'swarmrouter.yaml'), `${JSON.stringify({ targets, ...options.settings })}\n`);
  const outputFile = join(folder, 'gateway.log');
  const command = options.compiled === true ? [COMPILED] : ['node', join(ROOT, 'bin', 'swarmrouter.mjs')];
  const child = new PinnedProcess([...command, 'start'], {
    core: SUBJECT_CORE,
    cwd: folder,
    outputFile,
    environment: {
      SWARMROUTER_PORT: String(port),
      SWARMROUTER_DATA_DIR: options.dataDir ?? join(folder, 'data'),
      SWARMROUTER_ASSEMBLE: String(options.assemble),
      // The upstream has no slots to run out of.
      SWARMROUTER_MAX_CONCURRENT: '10000',
      LMSTUDIO_ENABLED: 'false',
      ...options.environment,
    },
  });
  return {
    port,
    process: child,
    output: () => readFileSync(outputFile, 'utf8'),
    stop: async () => {
      await child.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startGateway(upstreamUrl: string, options: GatewayOptions): Promise<Subject> {
  const gateway = await spawnGateway(upstreamUrl, options);
  const { pid } = gateway.process;
  try {
    await untilHealthy(gateway, 10_000);
  } catch (error) {
    const said = gateway.output().slice(0, 2_000);
    await gateway.stop();
    throw new Error(`${String(error)}\nThe gateway said:\n${said}`);
  }
  const [child] = childrenOf(pid);
  return {
    name: `gateway ${options.assemble ? 'assembling' : 'whole'}`,
    port: gateway.port,
    // The compiled executable may run the gateway in itself or in a child.
    pid: child ?? pid,
    launcherPid: child === undefined ? null : pid,
    stop: gateway.stop,
  };
}

const healthPath = '/health';
const POLL_MS = 2;

/** Resolves at the first 200 of /health. */
export async function untilHealthy(gateway: GatewayProcess, withinMs: number): Promise<void> {
  const giveUpAtMs = performance.now() + withinMs;
  for (;;) {
    try {
      const reply = await fetch(`http://127.0.0.1:${gateway.port}${healthPath}`, { keepalive: false });
      if (reply.status === 200) return;
    } catch {
      // Not listening yet.
    }
    if (gateway.process.child.exitCode !== null) {
      throw new Error(`the gateway ended with code ${gateway.process.child.exitCode} before it was ready`);
    }
    if (performance.now() > giveUpAtMs) throw new Error(`the gateway was not ready after ${withinMs} ms`);
    await Bun.sleep(POLL_MS);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
