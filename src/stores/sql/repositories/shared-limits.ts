import type { Kysely } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { SharedLimit } from '../../../core/limits.ts';
import type { Tables } from '../tables.ts';

/** Limits of organisations, projects and models as rows. */
export class SharedLimitRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Of all tenants. */
  async all(): Promise<readonly SharedLimit[]> {
    const rows = await this.#db
      .selectFrom('shared_limit')
      .selectAll()
      .orderBy('organisation_id')
      .orderBy('scope')
      .orderBy('scope_id')
      .execute();
    return rows.map((row) => ({
      ...{ organisationId: row.organisation_id, scope: row.scope, scopeId: row.scope_id, revision: row.revision },
      limits: { rpm: row.rpm, tpm: row.tpm, concurrent: row.concurrent },
    }));
  }

  /**
   * In place of what was there.
   * @param before the revision that is to be there; 0: there is none. Rejects with RevisionConflict.
   */
  async set({ organisationId, scope, scopeId, limits }: Omit<SharedLimit, 'revision'>, before: number): Promise<void> {
    const changed =
      before === 0
        ? await this.#db
            .insertInto('shared_limit')
            .values({ organisation_id: organisationId, scope, scope_id: scopeId, ...limits, revision: 1 })
            .onConflict((conflict) => conflict.columns(['organisation_id', 'scope', 'scope_id']).doNothing())
            .executeTakeFirst()
            .then(({ numInsertedOrUpdatedRows }) => Number(numInsertedOrUpdatedRows))
        : await this.#db
            .updateTable('shared_limit')
            .set({ ...limits, revision: before + 1 })
            .where('organisation_id', '=', organisationId)
            .where('scope', '=', scope)
            .where('scope_id', '=', scopeId)
            .where('revision', '=', before)
            .executeTakeFirst()
            .then(({ numUpdatedRows }) => Number(numUpdatedRows));
    if (changed === 0) throw new RevisionConflict(`The limit is not at ${before} any more.`);
  }

  async remove({ organisationId, scope, scopeId, revision }: SharedLimit): Promise<void> {
    const removed = await this.#db
      .deleteFrom('shared_limit')
      .where('organisation_id', '=', organisationId)
      .where('scope', '=', scope)
      .where('scope_id', '=', scopeId)
      .where('revision', '=', revision)
      .executeTakeFirst();
    if (Number(removed.numDeletedRows) === 0) throw new RevisionConflict(`The limit is not at ${revision} any more.`);
  }
}
