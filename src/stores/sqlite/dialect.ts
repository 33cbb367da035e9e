import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SelectQueryNode,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { Turns } from '../../core/turns.ts';
import type { Value } from '../sql/ledger/script.ts';
import type { QueryRows } from './connection.ts';

/** Where queries go: reports to a thread of their own, so that a long one holds up no commit. */
export interface QueryThreads {
  write(sql: string, parameters: readonly Value[]): Promise<QueryRows>;
  read(sql: string, parameters: readonly Value[]): Promise<QueryRows>;
  /** Who may begin a transaction on the writing thread. */
  readonly turns: Turns;
}

/** Kysely over SQLite's threads. */
export function sqliteDialect(threads: QueryThreads): Dialect {
  return {
    createAdapter: () => new TransactionalAdapter(),
    createDriver: () => new ThreadDriver(threads),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** SQLite makes tables inside transactions like everything else; the stock adapter does not make use of it. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class ThreadDriver implements Driver {
  readonly #threads: QueryThreads;

  constructor(threads: QueryThreads) {
    this.#threads = threads;
  }

  async init(): Promise<void> {
    // The threads are open already.
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    return new ThreadConnection(this.#threads);
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as ThreadConnection).begin();
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as ThreadConnection).finish('commit');
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await (connection as ThreadConnection).finish('rollback');
  }

  async releaseConnection(): Promise<void> {
    // It is no more than a name for whose turn it is.
  }

  async destroy(): Promise<void> {
    // The store closes its threads itself.
  }
}

class ThreadConnection implements DatabaseConnection {
  readonly #threads: QueryThreads;
  /** Ends the turn; null: no transaction is open. */
  #release: (() => void) | null = null;

  constructor(threads: QueryThreads) {
    this.#threads = threads;
  }

  async begin(): Promise<void> {
    const release = await this.#threads.turns.take();
    try {
      await this.#threads.write('begin immediate', []);
      this.#release = release;
    } catch (error) {
      release();
      throw error;
    }
  }

  async finish(how: 'commit' | 'rollback'): Promise<void> {
    const release = this.#release;
    try {
      await this.#threads.write(how, []);
    } catch (error) {
      // A commit that fails leaves the transaction open: nobody else may find themselves in it. A roll-back fails when
      // SQLite has already done it.
      if (how === 'rollback') return;
      await this.#threads.write('rollback', []).catch(() => undefined);
      throw error;
    } finally {
      this.#release = null;
      release?.();
    }
  }

  async executeQuery<R>({ sql, parameters, query }: CompiledQuery): Promise<QueryResult<R>> {
    const values = parameters as readonly Value[];
    const { rows, changes } = await this.#execute(sql, values, SelectQueryNode.is(query));
    return { rows: rows as R[], numAffectedRows: BigInt(changes) };
  }

  // biome-ignore lint/correctness/useYield: Kysely wants a generator; long results are read page by page instead.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('SQLite answers are not streamed');
  }

  #execute(sql: string, values: readonly Value[], readOnly: boolean): Promise<QueryRows> {
    if (this.#release !== null) return this.#threads.write(sql, values);
    return readOnly ? this.#threads.read(sql, values) : this.#threads.turns.run(() => this.#threads.write(sql, values));
  }
}
