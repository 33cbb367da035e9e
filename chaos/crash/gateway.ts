import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort } from '../../test/e2e/llama-cpp/start.ts';
import { corruptionIn } from './corruption.ts';

const PROGRAM = resolve(import.meta.dir, '..', '..', 'src', 'cli', 'index.ts');
const START_LIMIT_MS = 30_000;
const ADMIN_KEY = 'crash-run-admin-key';

export interface Server {
  readonly name: string;
  readonly kind: string;
  readonly place: 'local' | 'cloud';
  readonly url: string;
}

/** A gateway that is killed and started again on one data folder and one port. */
export class KilledGateway {
  readonly url: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'swarmrouter-crash-'));
  readonly #port = freePort();
  /** Where all that it keeps is. */
  readonly dataDir: string;
  readonly #settings: Readonly<Record<string, string>>;
  #child: Bun.Subprocess<'ignore', 'pipe', 'pipe'> | null = null;
  #printed = '';

  /** @param databaseUrl null: SQLite in the data folder */
  constructor(servers: readonly Server[], databaseUrl: string | null) {
    this.url = `http://127.0.0.1:${this.#port}`;
    this.dataDir = join(this.#folder, 'data');
    const file = join(this.#folder, 'swarmrouter.yaml');
    const prices = [{ model: 'sim-model', input_usd_per_mtok: 3, output_usd_per_mtok: 15 }];
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ targets: servers, prices }));
    this.#settings = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.#folder,
      SWARMROUTER_PORT: String(this.#port),
      SWARMROUTER_DATA_DIR: join(this.#folder, 'data'),
      SWARMROUTER_CONFIG: file,
      SWARMROUTER_ADMIN_KEY: ADMIN_KEY,
      SWARMROUTER_LOG_LEVEL: 'WARN',
      LMSTUDIO_ENABLED: 'false',
      ...(databaseUrl === null ? {} : { SWARMROUTER_DATABASE_URL: databaseUrl }),
    };
  }

  /** Resolves when it is ready, with the ms that this took. */
  async start(): Promise<number> {
    const startedAtMs = performance.now();
    // Not through the launcher: a kill must hit the gateway itself.
    const child = Bun.spawn([process.execPath, '--no-env-file', PROGRAM, 'start'], {
      ...{ cwd: this.#folder, env: this.#settings },
      ...{ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
    });
    this.#child = child;
    this.#printed = '';
    for (const stream of [child.stdout, child.stderr]) void this.#keep(stream);
    while (performance.now() - startedAtMs < START_LIMIT_MS) {
      if (child.exitCode !== null) break;
      const reply = await fetch(`${this.url}/ready`).catch(() => null);
      if (reply?.ok) return performance.now() - startedAtMs;
      await Bun.sleep(10);
    }
    throw new Error(`the gateway was not ready within ${START_LIMIT_MS / 1_000} s; it printed:\n${this.#printed}`);
  }

  /** The end of what it has printed so far. */
  get printed(): string {
    return this.#printed;
  }

  /** As a machine that loses its power, as far as the process is concerned. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#child?.exited;
  }

  /** What is wrong with the SQLite file as the kill left it. */
  corruption(): readonly string[] {
    return corruptionIn(join(this.#folder, 'data'), join(this.#folder, 'copy'));
  }

  /** Ends it for good, and takes its data with it. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async admin(method: string, path: string, body?: unknown): Promise<unknown> {
    const reply = await this.#adminFetch(method, path, body);
    if (!reply.ok) throw new Error(`${method} ${path} was ${reply.status}: ${await reply.text()}`);
    return reply.json();
  }

  /** Lines of a report. */
  async lines(path: string): Promise<readonly string[]> {
    const text = await (await this.#adminFetch('GET', path)).text();
    return text.split('\n').filter((line) => line !== '');
  }

  #adminFetch(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async #keep(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) this.#printed = (this.#printed + decoder.decode(bytes)).slice(-6_000);
  }
}
