import type { Kysely } from 'kysely';
import type { StoredPrice } from '../../../core/prices.ts';
import type { Tables } from '../tables.ts';

/** Prices that the operator set. */
export class PriceRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Replaces the one for the same model and provider. */
  async set({ organisationId, provider, model, rates, updatedAtMs }: StoredPrice): Promise<void> {
    const values = { rates: JSON.stringify(rates), updated_at_ms: updatedAtMs };
    await this.#db
      .insertInto('price')
      .values({ organisation_id: organisationId, provider: provider ?? '', model, ...values })
      .onConflict((conflict) => conflict.columns(['organisation_id', 'provider', 'model']).doUpdateSet(values))
      .execute();
  }

  async remove(organisationId: string, provider: string | null, model: string): Promise<void> {
    await this.#db
      .deleteFrom('price')
      .where('organisation_id', '=', organisationId)
      .where('provider', '=', provider ?? '')
      .where('model', '=', model)
      .execute();
  }

  async all(): Promise<readonly StoredPrice[]> {
    const rows = await this.#db.selectFrom('price').selectAll().orderBy('organisation_id').orderBy('model').execute();
    return rows.map((row) => ({
      organisationId: row.organisation_id,
      provider: row.provider === '' ? null : row.provider,
      model: row.model,
      rates: JSON.parse(row.rates),
      updatedAtMs: row.updated_at_ms,
    }));
  }
}
