import { Database } from 'bun:sqlite';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts';

/** Something that keeps the store from taking anything, and goes away again. */
export interface StoreTrouble {
  readonly name: 'locked' | 'full' | 'gone';
  readonly databaseUrl: string | null;
  /** Before the gateway starts. */
  prepare(dataDir: string): void;
  begin(dataDir: string): Promise<void>;
  end(dataDir: string): Promise<void>;
  /** After the gateway has ended. */
  cleanUp(dataDir: string): Promise<void>;
}

const nothing = async (): Promise<void> => undefined;

/** Another process holds SQLite's lock. */
export function locked(): StoreTrouble {
  let other: Database | null = null;
  return {
    ...{ name: 'locked', databaseUrl: null, prepare: () => undefined, cleanUp: nothing },
    begin: async (dataDir) => {
      other = new Database(join(dataDir, STORE_FILE));
      other.run('pragma busy_timeout = 5000');
      other.run('begin exclusive');
    },
    end: async () => {
      other?.run('rollback');
      other?.close();
    },
  };
}

const DISK_MEGABYTES = 24;
const FILLER = 'filler';

/** A disk of its own, which something else fills to the last byte. Null: this machine lets nobody mount one. */
export function full(): StoreTrouble | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null;
  return {
    ...{ name: 'full', databaseUrl: null },
    prepare: (dataDir) => {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      const options = ['-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m,mode=700`, 'tmpfs', dataDir];
      const { status, stderr } = spawnSync('mount', options, { encoding: 'utf8' });
      if (status !== 0) throw new Error(`no disk could be mounted: ${stderr.trim()}`);
    },
    begin: async (dataDir) => {
      // More than is free: the file gets what there is.
      for (const bytes of [DISK_MEGABYTES * 2 ** 20, 2 ** 16, 4_096, 512])
        fill(join(dataDir, `${FILLER}-${bytes}`), bytes);
    },
    end: async (dataDir) => {
      for (const bytes of [DISK_MEGABYTES * 2 ** 20, 2 ** 16, 4_096, 512]) {
        rmSync(join(dataDir, `${FILLER}-${bytes}`), { force: true });
      }
    },
    cleanUp: async (dataDir) => void spawnSync('umount', [dataDir]),
  };
}

function fill(path: string, bytes: number): void {
  try {
    writeFileSync(path, Buffer.alloc(bytes));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}

/** PostgreSQL is switched off, and on again. Null: it is not installed. */
export async function gone(): Promise<StoreTrouble | null> {
  const server: PostgresServer | null = await startPostgres();
  if (server === null) return null;
  return {
    ...{ name: 'gone', databaseUrl: await server.database(), prepare: () => undefined },
    begin: () => server.kill(),
    end: () => server.start(),
    cleanUp: () => server.stop(),
  };
}
