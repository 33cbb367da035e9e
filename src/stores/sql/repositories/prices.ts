import type { Kysely } from 'kysely';
import type { StoredPrice } from '../../../core/prices.ts';
import type { Tables } from '../tables.ts';
import { removeAtRevision, setAtRevision } from './at-revision.ts';

/** Prices that the operator set. */
export class PriceRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** In place of the one of the revision before, which is 0 if there is none. Rejects with RevisionConflict. */
  async set({ rates, updatedAtMs, revision, ...named }: StoredPrice): Promise<void> {
    const values = { rates: JSON.stringify(rates), updated_at_ms: updatedAtMs };
    await setAtRevision(this.#db, rowOf(named, revision - 1), values);
  }

  /** Rejects with RevisionConflict. */
  async remove({ revision, ...named }: Omit<StoredPrice, 'rates' | 'updatedAtMs'>): Promise<void> {
    await removeAtRevision(this.#db, rowOf(named, revision));
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

function rowOf(
  { organisationId, provider, model }: Pick<StoredPrice, 'organisationId' | 'provider' | 'model'>,
  revision: number,
) {
  const key = { organisation_id: organisationId, provider: provider ?? '', model };
  return { table: 'price', key, revision, what: 'price' } as const;
}
