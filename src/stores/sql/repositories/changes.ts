import type { Kysely } from 'kysely';
import type { ChangeEnds, StoreChange, StoreChanges } from '../../../core/store-changes.ts';
import type { Tables } from '../tables.ts';

/**
 * The audit log as the record of changes. Each change has its entry in its own transaction, and whoever appends holds
 * the end of the chain until it commits: no entry appears before one with a lower number, so reading from where one was
 * misses none.
 */
export class ChangeRepository implements StoreChanges {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Cheap: a row for each organisation. */
  async ends(): Promise<ChangeEnds> {
    const rows = await this.#db.selectFrom('audit_end').select(['organisation_id', 'sequence']).execute();
    return new Map(rows.map((row) => [row.organisation_id, row.sequence]));
  }

  async between(from: ChangeEnds, to: ChangeEnds, most: number): Promise<readonly StoreChange[] | null> {
    const found: StoreChange[] = [];
    for (const [organisationId, end] of to) {
      const start = from.get(organisationId) ?? 0;
      if (end <= start) continue;
      const rows = await this.#db
        .selectFrom('audit_entry')
        .select(['action', 'subject'])
        .where('organisation_id', '=', organisationId)
        .where('sequence', '>', start)
        .where('sequence', '<=', end)
        // What was refused has changed nothing.
        .where('outcome', '=', 'allowed')
        .orderBy('sequence')
        .limit(most + 1 - found.length)
        .execute();
      found.push(...rows);
      if (found.length > most) return null;
    }
    return found;
  }
}
