import type { Kysely } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { Tables } from '../tables.ts';

/** Tables whose rows people set, each over what it was when they saw it. */
type Revised = 'price' | 'model_alias' | 'route' | 'shared_limit';

/** What there is at most one row of. `Key`: the columns that say so. */
export interface RowAt<Table extends Revised, Key extends keyof Tables[Table]> {
  readonly table: Table;
  readonly key: Pick<Tables[Table], Key>;
  /** The revision that is to be there; 0: there is no such row. */
  readonly revision: number;
  /** As whoever was slower is told of it: `price`. */
  readonly what: string;
}

/** The columns were checked where the row was made. */
type Columns = Readonly<Record<string, string | number | null>>;
type Unchecked = Kysely<Record<Revised, Record<string, string | number | null>>>;

/** Puts `values` in place of what was there, as its next revision. Rejects with RevisionConflict. */
export async function setAtRevision<Table extends Revised, Key extends keyof Tables[Table]>(
  db: Kysely<Tables>,
  at: RowAt<Table, Key>,
  values: Omit<Tables[Table], Key | 'revision'>,
): Promise<void> {
  const { table, revision } = at;
  const [key, row] = [at.key as Columns, { ...(values as Columns), revision: revision + 1 }];
  const unchecked = db as unknown as Unchecked;
  if (revision === 0) {
    const inserted = await unchecked
      .insertInto(table as Revised)
      .values({ ...key, ...row })
      .onConflict((conflict) => conflict.columns(Object.keys(key)).doNothing())
      .executeTakeFirst();
    return orConflict(inserted.numInsertedOrUpdatedRows, at);
  }
  const update = unchecked.updateTable(table as Revised).set(row);
  const { numUpdatedRows } = await update.where((eb) => eb.and({ ...key, revision })).executeTakeFirst();
  orConflict(numUpdatedRows, at);
}

/** Rejects with RevisionConflict. */
export async function removeAtRevision<Table extends Revised, Key extends keyof Tables[Table]>(
  db: Kysely<Tables>,
  at: RowAt<Table, Key>,
): Promise<void> {
  const removal = (db as unknown as Unchecked).deleteFrom(at.table as Revised);
  const { numDeletedRows } = await removal
    .where((eb) => eb.and({ ...(at.key as Columns), revision: at.revision }))
    .executeTakeFirst();
  orConflict(numDeletedRows, at);
}

function orConflict(changed: bigint | undefined, { what, revision }: { what: string; revision: number }): void {
  if (Number(changed ?? 0) === 0) throw new RevisionConflict(`The ${what} is not at ${revision} any more.`);
}
