import { statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Kysely } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import { type LedgerResult, StoreClosed, StoreUnavailable } from '../../core/ledger.ts';
import { Once } from '../../core/once.ts';
import { Turns } from '../../core/turns.ts';
import type { Value } from '../sql/ledger/script.ts';
import { migrate } from '../sql/migrate.ts';
import { ledgerOwners, type SqlStore } from '../sql/sql-store.ts';
import type { Tables } from '../sql/tables.ts';
import { againWhileLocked, TRIES_AT_START } from '../sql/while-locked.ts';
import { SqliteThread } from './client.ts';
import type { QueryRows } from './connection.ts';
import { sqliteDialect } from './dialect.ts';
import { StoreDamaged } from './faults.ts';
import { decodeResults, type EncodedResults, textsOf } from './protocol.ts';
import { STORE_FILE } from './store-file.ts';

const OWNER_ONLY_FOLDER = 0o700;

export interface SqliteStoreOptions {
  readonly dataDir: string;
  readonly clock: Clock;
}

/** The store in `<dataDir>/swarmrouter.db`, made when there is none. Rejects when the file is no database of ours. */
export async function openSqliteStore({ dataDir, clock }: SqliteStoreOptions): Promise<SqlStore> {
  const path = join(dataDir, STORE_FILE);
  await mkdir(dirname(path), { recursive: true, mode: OWNER_ONLY_FOLDER });
  const writer = new SqliteThread();
  const store = new SqliteStore(path, writer);
  try {
    await againWhileLocked(async () => {
      await writer.ask({ kind: 'open', path, readOnly: false, create: true });
      await migrate(store.db, 'sqlite', clock);
    }, TRIES_AT_START);
    return store;
  } catch (error) {
    await store.close().catch(() => undefined);
    throw cannotOpen(path, error);
  }
}

function cannotOpen(path: string, error: unknown): Error {
  const damage = [error, error instanceof Error ? error.cause : null].find((one) => one instanceof StoreDamaged);
  const what = error instanceof Error ? error.message : String(error);
  const message =
    damage instanceof StoreDamaged
      ? `the store ${path} is no SQLite database, or a damaged one (${damage.message}). Put it back from a backup, without its -wal and -shm files; or move all three away, and a new one is made, without the keys, budgets, users and usage of the old one`
      : `the store ${path} cannot be opened: ${what}`;
  return new Error(message, { cause: error });
}

class SqliteStore implements SqlStore {
  readonly dialect = 'sqlite';
  readonly db: Kysely<Tables>;
  readonly #path: string;
  readonly #writer: SqliteThread;
  readonly #turns = new Turns();
  /** Made for the first read outside of a transaction. */
  readonly #reader = new Once(() => this.#openReader());
  /** Resolves when no check runs. */
  #checking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(path: string, writer: SqliteThread) {
    this.#path = path;
    this.#writer = writer;
    this.db = new Kysely<Tables>({
      dialect: sqliteDialect({
        turns: this.#turns,
        write: (sql, parameters) => ask(writer, sql, parameters),
        read: async (sql, parameters) => ask(await this.#reader.get(), sql, parameters),
      }),
    });
  }

  commit(...[ownerId, operations]: Parameters<SqlStore['commit']>): Promise<readonly LedgerResult[]> {
    const texts = textsOf(operations);
    return this.#turns.run(async () => {
      const results = await this.#writer.ask<EncodedResults>({ kind: 'commit', ownerId, texts });
      return decodeResults(results, operations.length);
    });
  }

  owners() {
    return ledgerOwners(this.db);
  }

  resolveOrphans(ownerId: string, nowMs: number): Promise<number> {
    return this.#turns.run(() => this.#writer.ask({ kind: 'orphans', ownerId, nowMs }));
  }

  fileBytes(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
  }

  /** On a thread for it alone: all that a start reads would wait for it on that of reports. */
  async checkIntegrity(): Promise<readonly string[]> {
    const before = this.#checking;
    const check = before.then(() => this.#checkOnce());
    this.#checking = check.then(
      () => undefined,
      () => undefined,
    );
    return check;
  }

  async #checkOnce(): Promise<readonly string[]> {
    const thread = await this.#openReader();
    try {
      const { rows } = await ask(thread, 'pragma quick_check', []);
      const found = rows.map((row) => String(row['quick_check']));
      return found.length === 1 && found[0] === 'ok' ? [] : found;
    } catch (error) {
      // Some damage ends the check itself.
      if (error instanceof StoreUnavailable && error.kind === 'failing') return [error.message];
      throw error;
    } finally {
      await thread.close().catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#turns.run(async () => {
      await this.#checking;
      const reader = this.#reader.begun ? await this.#reader.get().catch(() => null) : null;
      await reader?.close();
      await this.#writer.close();
    });
  }

  /** Nobody would end a thread that is made after the end. */
  async #openReader(): Promise<SqliteThread> {
    if (this.#closed) throw new StoreClosed();
    const reader = new SqliteThread();
    try {
      await reader.ask({ kind: 'open', path: this.#path, readOnly: true, create: false });
      return reader;
    } catch (error) {
      await reader.close().catch(() => undefined);
      throw error;
    }
  }
}

function ask(thread: SqliteThread, sql: string, parameters: readonly Value[]): Promise<QueryRows> {
  return thread.ask({ kind: 'query', sql, parameters });
}
