import { Database, type Statement as Prepared, type SQLQueryBindings } from 'bun:sqlite';
import { chmodSync, closeSync, openSync, statSync } from 'node:fs';
import { StoreUnavailable } from '../../core/ledger.ts';
import {
  NOTHING_YET,
  ROWS_AT_ONCE,
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
/** Answers about settings; a few hundred bytes each. */
const MOST_REMEMBERED = 20_000;

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
  /** Rows that scripts do not change, by what they were asked for. */
  readonly #remembered = new Map<Statement, Map<string, readonly Row[]>>();
  #dataVersion: number | null = null;

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
      // Whatever it is, it may change what is remembered, or take such a change back.
      if (!this.#readOnly) this.#remembered.clear();
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
        this.#forgetWhatOthersChanged();
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
    this.#remembered.clear();
    this.#dataVersion = null;
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
    if (statement.isSettings) return { rows: rows.flatMap((row) => this.#settings(statement, row)), changes: 0 };
    const prepared = this.#prepare(statement.text.sqlite);
    if (prepared.columnNames.length === 0) return { rows: [], changes: this.#change(statement, prepared, rows) };
    const found: Row[] = [];
    for (const row of rows) found.push(...(prepared.all(...(row as SQLQueryBindings[])) as Row[]));
    return { rows: found, changes: 0 };
  }

  #change({ manyRows }: Statement, prepared: Prepared, rows: Step['rows']): number {
    let [changes, next] = [0, 0];
    if (manyRows !== null) {
      for (; next + ROWS_AT_ONCE <= rows.length; next += ROWS_AT_ONCE) {
        const parameters = rows.slice(next, next + ROWS_AT_ONCE).flat();
        changes += this.#prepare(manyRows).run(...(parameters as SQLQueryBindings[])).changes;
      }
    }
    for (; next < rows.length; next++) changes += prepared.run(...(rows[next] as SQLQueryBindings[])).changes;
    return changes;
  }

  #settings(statement: Statement, row: readonly Value[]): readonly Row[] {
    let remembered = this.#remembered.get(statement);
    if (remembered === undefined || remembered.size >= MOST_REMEMBERED) {
      remembered = new Map();
      this.#remembered.set(statement, remembered);
    }
    const name = row.join('\n');
    let found = remembered.get(name);
    if (found === undefined) {
      found = this.#prepare(statement.text.sqlite).all(...(row as SQLQueryBindings[])) as Row[];
      remembered.set(name, found);
    }
    return found;
  }

  /** SQLite counts what other connections commit; what this one writes besides scripts comes by `query`. */
  #forgetWhatOthersChanged(): void {
    const [row] = this.#prepare('pragma data_version').all() as { data_version: number }[];
    if (row?.data_version === this.#dataVersion) return;
    this.#dataVersion = row?.data_version ?? null;
    this.#remembered.clear();
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
