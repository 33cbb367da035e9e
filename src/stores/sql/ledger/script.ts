import type { DialectName } from '../dialect-name.ts';

export type Value = string | number | null;
export type Row = Readonly<Record<string, Value>>;
type ColumnType = 'text' | 'bigint' | 'jsonb';

/** A statement over a list of rows. Its text reads them from a table called `input`. */
export interface Statement {
  readonly columns: readonly string[];
  readonly text: Readonly<Record<DialectName, string>>;
  /** For SQLite, with the parameters of `ROWS_AT_ONCE` rows one after the other; null: it takes one row. */
  readonly manyRows: string | null;
  /** What it finds is changed by no script: it may be remembered for as long as nobody else wrote to the database. */
  readonly isSettings: boolean;
}

/** A third of what a row costs is the call that brings it to SQLite. */
export const ROWS_AT_ONCE = 32;

/** Runs the statement for all rows; a statement without columns has one empty row. */
export interface Step {
  readonly statement: Statement;
  readonly rows: readonly (readonly Value[])[];
}

export interface StepResult {
  /** What it returned. */
  readonly rows: readonly Row[];
  /** Rows written. */
  readonly changes: number;
}

/**
 * Work inside one transaction, as a list of steps that depend on each other's rows. A generator, so that the same code
 * runs without a pause on SQLite's own thread and over the network to PostgreSQL.
 */
export type Script<T> = Generator<Step, T, StepResult>;

/** How a statement reads the rows that it is given. */
export interface Input {
  /** A column of the row. */
  col(name: string): string;
  /** The tables of a query and the rows beside them. */
  with(tables: string): string;
  /** The same after `update … set …`. */
  readonly from: string;
  /** What `insert into … (columns)` takes: all columns of the rows, in order, and what is the same for all. */
  values(...constants: string[]): string;
  /** After `values`: written, and so locked, in this order. */
  inOrder(columns: readonly string[]): string;
  /** At the end of a query: nobody else changes these rows until the transaction ends. */
  forUpdate(table: string): string;
}

/**
 * SQLite is given one row at a time, or some that are inserted, as plain parameters: any table made of them would cost
 * more than the write itself. PostgreSQL gets all rows at once, one array a column.
 */
export function statement(columns: Readonly<Record<string, ColumnType>>, text: (input: Input) => string): Statement {
  const names = Object.keys(columns);
  const arrays = names.map((name, index) => `$${index + 1}::${columns[name]}[]`).join(', ');
  const rows = `unnest(${arrays}) as input(${names.join(', ')})`;
  let inserts = false;
  const inSqlite = (rowCount: number): string =>
    text({
      col: (name) => `?${names.indexOf(name) + 1}`,
      with: (tables) => tables,
      from: '',
      values: (...constants) => {
        inserts = true;
        const row = (at: number): string =>
          `(${[...names.map((_, index) => `?${at * names.length + index + 1}`), ...constants].join(', ')})`;
        return `values ${Array.from({ length: rowCount }, (_, at) => row(at)).join(', ')}`;
      },
      inOrder: () => '',
      forUpdate: () => '',
    });
  const sqlite = inSqlite(1);
  return {
    columns: names,
    isSettings: false,
    manyRows: inserts ? inSqlite(ROWS_AT_ONCE) : null,
    text: {
      sqlite,
      postgres: text({
        col: (name) => `input.${name}`,
        with: (tables) => `${tables}, ${rows}`,
        from: `from ${rows}`,
        values: (...constants) =>
          `select ${[...names.map((name) => `input.${name}`), ...constants].join(', ')} from ${rows}`,
        inOrder: (order) => `order by ${order.map((name) => `input.${name}`).join(', ')}`,
        forUpdate: (table) => `for update of ${table}`,
      }),
    },
  };
}

/** A statement without input. */
export function plain(text: string): Statement {
  return { columns: [], text: { sqlite: text, postgres: text }, manyRows: null, isSettings: false };
}

const NO_INPUT: readonly (readonly Value[])[] = [[]];

/** The rows that a query found. */
export function* run(step: Statement, rows: readonly (readonly Value[])[] = NO_INPUT): Script<readonly Row[]> {
  return rows.length === 0 ? [] : (yield { statement: step, rows }).rows;
}

/** How many rows were written. */
export function* change(step: Statement, rows: readonly (readonly Value[])[]): Script<number> {
  return rows.length === 0 ? 0 : (yield { statement: step, rows }).changes;
}

export const NOTHING_YET: StepResult = { rows: [], changes: 0 };
