import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort } from './free-port.ts';

/** A PostgreSQL server of the tests' own on loopback. */
export interface PostgresServer {
  /** Makes an empty database; its address. */
  database(): Promise<string>;
  /** As a machine that is switched off: no client is told. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/** Null, with one printed line, where PostgreSQL is not installed or cannot be started. */
export async function startPostgres(): Promise<PostgresServer | null> {
  const programs = findPrograms();
  if (programs === null) return skipped('its programs are not installed (Debian: postgresql)');
  const account = otherThanRoot();
  if (account === null) return skipped('it does not run as root, and there is no user postgres or nobody');
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-postgres-'));
  if (account.uid !== undefined && account.gid !== undefined) chownSync(folder, account.uid, account.gid);
  const data = join(folder, 'data');
  const made = spawnSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'tests', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C'],
    { ...account, cwd: folder, encoding: 'utf8' },
  );
  if (made.status !== 0) return skipped(`initdb failed: ${made.stderr}`);
  const server = new TestServer(programs, folder, data, account, await freePort());
  await server.start();
  return server;
}

function skipped(why: string): null {
  console.log(`skipped: the tests with PostgreSQL, since ${why.trim()}`);
  return null;
}

function findPrograms(): string | null {
  const parent = '/usr/lib/postgresql';
  const versions = existsSync(parent) ? readdirSync(parent).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(parent, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  return folders.find((path) => existsSync(join(path, 'initdb')) && existsSync(join(path, 'postgres'))) ?? null;
}

/** PostgreSQL refuses to run as root. */
function otherThanRoot(): Account | null {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = ['-u', '-g'].map((what) =>
      Number(spawnSync('id', [what, name], { encoding: 'utf8' }).stdout.trim() || NaN),
    );
    if (uid !== undefined && gid !== undefined && Number.isInteger(uid) && Number.isInteger(gid)) return { uid, gid };
  }
  return null;
}

class TestServer implements PostgresServer {
  readonly #programs: string;
  readonly #folder: string;
  readonly #data: string;
  readonly #account: Account;
  readonly #port: number;
  #child: ChildProcess | null = null;
  #databases = 0;

  constructor(programs: string, folder: string, data: string, account: Account, port: number) {
    this.#programs = programs;
    this.#folder = folder;
    this.#data = data;
    this.#account = account;
    this.#port = port;
  }

  async start(): Promise<void> {
    // No unix socket: its default folder belongs to the system. Without fsync: nobody switches this machine off.
    const settings = ['-h', '127.0.0.1', '-p', String(this.#port), '-k', '', '-F', '-c', 'max_connections=60'];
    this.#child = spawn(join(this.#programs, 'postgres'), ['-D', this.#data, ...settings], {
      ...this.#account,
      cwd: this.#folder,
      stdio: 'ignore',
    });
    for (let tries = 0; ; tries++) {
      try {
        await this.#run('select 1');
        return;
      } catch (error) {
        if (tries === 200) throw error;
        await Bun.sleep(50);
      }
    }
  }

  async database(): Promise<string> {
    const name = `tests_${++this.#databases}`;
    await this.#run(`create database ${name}`);
    return `postgres://tests@127.0.0.1:${this.#port}/${name}`;
  }

  async kill(): Promise<void> {
    await this.#end('SIGQUIT');
  }

  async stop(): Promise<void> {
    await this.#end('SIGINT');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  async #run(sql: string): Promise<void> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.#port, user: 'tests', database: 'postgres' });
    client.on('error', () => undefined);
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  }
}
