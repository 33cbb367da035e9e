import { Database, type Statement as Prepared, type SQLQueryBindings } from 'bun:sqlite';
import { chmodSync, closeSync, openSync, statSync } from 'node:fs';
import { StoreUnavailable } from '../../core/ledger.ts';
import {
  NOTHING_YET,
  type Row,
  type Script,
  type Statement,
  type Step,
  type StepResult,
  type Value,
} from '../sql/ledger/script.ts';
import { unavailability } from './faults.ts';

/** How long SQLite's own thread waits for another process's lock; meanwhile the requests of this one gather. */
const LOCK_WAIT_MS = 250;
/** Pages of 4 KB that the log may hold before they are copied into the file: fewer copies, 16 MB at most. */
const CHECKPOINT_PAGES = 4_000;
const OWNER_ONLY = 0o600;

export interface QueryRows {
  readonly rows: readonly Row[];
  /** Rows written. */
  readonly changes: number;
}

/** One connection to the file; everything it does blocks, so it lives on a thread of its own. */
export class SqliteConnection {
  readonly #path: string;
  readonly #readOnly: boolean;
  #open: { readonly db: Database; readonly inode: number } | null = null;
  readonly #prepared = new Map<string, Prepared>();

  constructor(path: string, readOnly: boolean) {
    this.#path = path;
    this.#readOnly = readOnly;
  }

  /** Makes the file, readable by its owner alone, when there is none. Only at the start of a process: see #database. */
  create(): void {
    closeSync(openSync(this.#path, 'a', OWNER_ONLY));
    if (process.platform !== 'win32' && (statSync(this.#path).mode & 0o077) !== 0) chmodSync(this.#path, OWNER_ONLY);
    this.#database();
  }

  query(sql: string, parameters: readonly Value[]): QueryRows {
    return this.#guarded(() => {
      const prepared = this.#prepare(sql);
      const bound = parameters as SQLQueryBindings[];
      if (prepared.columnNames.length > 0) return { rows: prepared.all(...bound) as Row[], changes: 0 };
      return { rows: [], changes: prepared.run(...bound).changes };
    });
  }

  /** All of it in one transaction that is on the disk when this returns. */
  transact<T>(make: () => Script<T>): T {
    return this.#guarded(() => {
      const db = this.#database();
      this.#prepare('begin immediate').run();
      try {
        const result = this.#play(make());
        this.#prepare('commit').run();
        return result;
      } catch (error) {
        if (db.inTransaction) this.#prepare('rollback').run();
        throw error;
      }
    });
  }

  close(): void {
    this.#prepared.clear();
    this.#open?.db.close();
    this.#open = null;
  }

  #play<T>(script: Script<T>): T {
    for (let step = script.next(NOTHING_YET); ; ) {
      if (step.done === true) return step.value;
      step = script.next(this.#runStep(step.value));
    }
  }

  #runStep({ statement, rows }: Step): StepResult {
    const prepared = this.#prepareStatement(statement);
    if (prepared.columnNames.length === 0) {
      let changes = 0;
      for (const row of rows) changes += prepared.run(...(row as SQLQueryBindings[])).changes;
      return { rows: [], changes };
    }
    const found: Row[] = [];
    for (const row of rows) found.push(...(prepared.all(...(row as SQLQueryBindings[])) as Row[]));
    return { rows: found, changes: 0 };
  }

  #prepareStatement(statement: Statement): Prepared {
    return this.#prepare(statement.text.sqlite);
  }

  #prepare(sql: string): Prepared {
    const db = this.#database();
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const prepared = db.prepare(sql);
    // Reports bring texts of their own; the few of the ledger come first and stay.
    if (this.#prepared.size < 200) this.#prepared.set(sql, prepared);
    return prepared;
  }

  /** A file that was taken away is not written on: SQLite would go on without a word, and it would be lost. */
  #guarded<T>(work: () => T): T {
    if (this.#open !== null && inodeOf(this.#path) !== this.#open.inode) this.close();
    try {
      return work();
    } catch (error) {
      const kind = unavailability(error);
      if (kind === 'gone' || kind === 'failing') this.close();
      throw error;
    }
  }

  /**
   * Never makes a file: one that is gone from under a running process (a disk that was taken out) comes back, and an
   * empty one in its place would hide what was on record.
   */
  #database(): Database {
    if (this.#open !== null) return this.#open.db;
    const inode = inodeOf(this.#path);
    if (inode === null) throw new StoreUnavailable('gone', `the file ${this.#path} is not there`);
    const db = new Database(this.#path, { readwrite: true, create: false });
    try {
      db.run(`pragma busy_timeout = ${LOCK_WAIT_MS}`);
      db.run('pragma journal_mode = wal');
      db.run('pragma synchronous = full');
      db.run('pragma foreign_keys = on');
      db.run(`pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
      if (this.#readOnly) db.run('pragma query_only = on');
    } catch (error) {
      db.close();
      throw error;
    }
    this.#open = { db, inode };
    return db;
  }
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}
