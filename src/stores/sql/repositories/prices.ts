import type { Kysely } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { StoredPrice } from '../../../core/prices.ts';
import type { Tables } from '../tables.ts';

/** Prices that the operator set. */
export class PriceRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** In place of the one of the revision before, which is 0 if there is none. Rejects with RevisionConflict. */
  async set({ organisationId, provider, model, rates, updatedAtMs, revision }: StoredPrice): Promise<void> {
    const values = { rates: JSON.stringify(rates), updated_at_ms: updatedAtMs, revision };
    const changed =
      revision === 1
        ? await this.#db
            .insertInto('price')
            .values({ organisation_id: organisationId, provider: provider ?? '', model, ...values })
            .onConflict((conflict) => conflict.columns(['organisation_id', 'provider', 'model']).doNothing())
            .executeTakeFirst()
            .then(({ numInsertedOrUpdatedRows }) => numInsertedOrUpdatedRows)
        : await this.#db
            .updateTable('price')
            .set(values)
            .where('organisation_id', '=', organisationId)
            .where('provider', '=', provider ?? '')
            .where('model', '=', model)
            .where('revision', '=', revision - 1)
            .executeTakeFirst()
            .then(({ numUpdatedRows }) => numUpdatedRows);
    if (Number(changed ?? 0) === 0) throw new RevisionConflict(`The price is not at ${revision - 1} any more.`);
  }

  /** Rejects with RevisionConflict. */
  async remove({
    organisationId,
    provider,
    model,
    revision,
  }: Omit<StoredPrice, 'rates' | 'updatedAtMs'>): Promise<void> {
    const { numDeletedRows } = await this.#db
      .deleteFrom('price')
      .where('organisation_id', '=', organisationId)
      .where('provider', '=', provider ?? '')
      .where('model', '=', model)
      .where('revision', '=', revision)
      .executeTakeFirst();
    if (Number(numDeletedRows) === 0) throw new RevisionConflict(`The price is not at ${revision} any more.`);
  }

  async all(): Promise<readonly StoredPrice[]> {
    const rows = await this.#db.selectFrom('price').selectAll().orderBy('organisation_id').orderBy('model').execute();
    return rows.map((row) => ({
      organisationId: row.organisation_id,
      provider: row.provider === '' ? null : row.provider,
      model: row.model,
      rates: JSON.parse(row.rates),
      updatedAtMs: row.updated_at_ms,
      revision: row.revision,
    }));
  }
}
