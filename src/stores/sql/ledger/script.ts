import type { DialectName } from '../dialect-name.ts';

export type Value = string | number | null;
export type Row = Readonly<Record<string, Value>>;
type ColumnType = 'text' | 'bigint';

/** A statement over a list of rows. Its text reads them from a table called `input`. */
export interface Statement {
  readonly columns: readonly string[];
  readonly text: Readonly<Record<DialectName, string>>;
}

/** Runs the statement for all rows and gives back what it returned; a statement without columns has one empty row. */
export interface Step {
  readonly statement: Statement;
  readonly rows: readonly (readonly Value[])[];
}

/**
 * Work inside one transaction, as a list of steps that depend on each other's rows. A generator, so that the same code
 * runs without a pause on SQLite's own thread and over the network to PostgreSQL.
 */
export type Script<T> = Generator<Step, T, readonly Row[]>;

/** SQLite is given one row at a time, which is cheapest there; PostgreSQL all rows in one array a column. */
export function statement(
  columns: Readonly<Record<string, ColumnType>>,
  text: (input: string, forUpdate: (table: string) => string) => string,
): Statement {
  const names = Object.keys(columns);
  const one = `(select ${names.map((name, index) => `?${index + 1} as ${name}`).join(', ')}) as input`;
  const arrays = names.map((name, index) => `$${index + 1}::${columns[name]}[]`).join(', ');
  return {
    columns: names,
    text: {
      sqlite: text(one, () => ''),
      postgres: text(`unnest(${arrays}) as input(${names.join(', ')})`, (table) => `for update of ${table}`),
    },
  };
}

/** A statement without input. */
export function plain(text: string): Statement {
  return { columns: [], text: { sqlite: text, postgres: text } };
}

const NO_INPUT: readonly (readonly Value[])[] = [[]];

export function* run(step: Statement, rows: readonly (readonly Value[])[] = NO_INPUT): Script<readonly Row[]> {
  return rows.length === 0 ? [] : yield { statement: step, rows };
}
