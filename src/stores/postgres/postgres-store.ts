import { Kysely, PostgresDialect, type PostgresPool } from 'kysely';
import pg from 'pg';
import type { Clock } from '../../core/clock.ts';
import type { LedgerResult } from '../../core/ledger.ts';
import { commit, Overtaken } from '../sql/ledger/commit.ts';
import { resolveOrphans } from '../sql/ledger/orphans.ts';
import { NOTHING_YET, type Row, type Script, type Step, type StepResult } from '../sql/ledger/script.ts';
import { migrate } from '../sql/migrate.ts';
import { ledgerOwners, type SqlStore } from '../sql/sql-store.ts';
import type { Tables } from '../sql/tables.ts';
import { cannotOpen } from './cannot-open.ts';
import { isWorthRepeating, storeError } from './faults.ts';

/** Connections for commits, reports and the admin API together. */
const CONNECTIONS = 4;
const CONNECT_MS = 3_000;
/** For a commit; a server that takes longer counts as gone, and the rows go to the file meanwhile. */
const COMMIT_MS = 5_000;
const MOST_REPEATS = 10;
const INT8 = 20;

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database`. */
  readonly url: string;
  readonly clock: Clock;
}

/** The store in a PostgreSQL database that several processes may share. Rejects when it cannot be reached. */
export async function openPostgresStore({ url, clock }: PostgresStoreOptions): Promise<SqlStore> {
  const pool = new pg.Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: CONNECT_MS,
    keepAlive: true,
    types: { getTypeParser },
  });
  // A connection that idles when the server goes away says so here, and nowhere else.
  pool.on('error', () => undefined);
  // One that is in use when it breaks says so to nobody between two statements; the next statement is told.
  pool.on('connect', (client) => void client.on('error', () => undefined));
  const store = new PostgresStore(pool);
  try {
    await migrate(store.db, 'postgres', clock);
    return store;
  } catch (error) {
    await store.close();
    throw cannotOpen(error, url);
  }
}

/**
 * 64-bit integers as numbers: all of ours are below 2^53. A sum that is not is told as the highest that there is: whoever
 * asks for room in it is refused, and nothing else has to wait for somebody to repair it.
 */
function getTypeParser(...given: Parameters<typeof pg.types.getTypeParser>): ReturnType<typeof pg.types.getTypeParser> {
  if (Number(given[0]) === INT8 && given[1] !== 'binary') return safeInteger;
  return pg.types.getTypeParser(...given);
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  return value > 0 ? Number.MAX_SAFE_INTEGER : Number.MIN_SAFE_INTEGER;
}

/** A server that is away is trouble of the store to reports and the admin API, too, not a mistake of ours. */
function reporting(pool: pg.Pool): PostgresPool {
  return {
    connect: () =>
      pool.connect().catch((error: unknown) => {
        throw storeError(error);
      }),
    end: () => pool.end(),
  };
}

class PostgresStore implements SqlStore {
  readonly dialect = 'postgres';
  readonly db: Kysely<Tables>;
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    this.db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: reporting(pool) }) });
  }

  commit(...[ownerId, batch]: Parameters<SqlStore['commit']>): Promise<readonly LedgerResult[]> {
    const operations = [...batch];
    return this.#transact((lookUp) => commit(ownerId, operations, { lookUp }));
  }

  async owners() {
    try {
      return await ledgerOwners(this.db);
    } catch (error) {
      throw storeError(error);
    }
  }

  resolveOrphans(ownerId: string, nowMs: number): Promise<number> {
    return this.#transact(() => resolveOrphans(ownerId, nowMs));
  }

  fileBytes(): number {
    return 0;
  }

  /** PostgreSQL checks its own pages. */
  async checkIntegrity(): Promise<readonly string[]> {
    return [];
  }

  close(): Promise<void> {
    return this.db.destroy();
  }

  async #transact<T>(make: (lookUp: boolean) => Script<T>): Promise<T> {
    for (let repeats = 0; ; repeats++) {
      try {
        return await this.#once(make(repeats > 0));
      } catch (error) {
        const again = error instanceof Overtaken || isWorthRepeating(error);
        if (!again || repeats === MOST_REPEATS) throw storeError(error);
      }
    }
  }

  async #once<T>(script: Script<T>): Promise<T> {
    const client = await this.#pool.connect();
    let broken = true;
    try {
      await client.query(`begin; set local statement_timeout = ${COMMIT_MS}; set local synchronous_commit = on`);
      try {
        const result = await play(client, script);
        await client.query('commit');
        broken = false;
        return result;
      } catch (error) {
        await client.query('rollback');
        broken = false;
        throw error;
      }
    } finally {
      // A connection whose transaction could not be ended is thrown away.
      client.release(broken);
    }
  }
}

async function play<T>(client: pg.PoolClient, script: Script<T>): Promise<T> {
  for (let step = script.next(NOTHING_YET); ; ) {
    if (step.done === true) return step.value;
    step = script.next(await runStep(client, step.value));
  }
}

async function runStep(client: pg.PoolClient, { statement, rows }: Step): Promise<StepResult> {
  // One array a column.
  const values = statement.columns.map((_, column) => rows.map((row) => row[column] ?? null));
  const result = await client.query<Row>(statement.text.postgres, values);
  return { rows: result.rows, changes: result.rowCount ?? 0 };
}
