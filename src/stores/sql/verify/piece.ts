import { type RawBuilder, type SqlBool, sql } from 'kysely';

/** Calls of an organisation: those after one, up to and with another. Null: without an end. */
export interface Piece {
  readonly organisationId: string;
  readonly after: string | null;
  readonly upTo: string | null;
}

/** Null: everywhere. */
export function within(alias: 'a' | 'h', piece: Piece | null): RawBuilder<SqlBool> {
  if (piece === null) return sql`1 = 1`;
  const [organisation, attempt] = [sql.ref(`${alias}.organisation_id`), sql.ref(`${alias}.attempt_id`)];
  const above = piece.after === null ? sql`` : sql`and ${attempt} > ${piece.after}`;
  const below = piece.upTo === null ? sql`` : sql`and ${attempt} <= ${piece.upTo}`;
  return sql`${organisation} = ${piece.organisationId} ${above} ${below}`;
}
