import type { Kysely } from 'kysely';
import type { SharedLimit } from '../../../core/limits.ts';
import type { Tables } from '../tables.ts';
import { removeAtRevision, setAtRevision } from './at-revision.ts';

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
  async set({ limits, ...place }: Omit<SharedLimit, 'revision'>, before: number): Promise<void> {
    const { rpm, tpm, concurrent } = limits;
    await setAtRevision(this.#db, rowOf(place, before), { rpm, tpm, concurrent });
  }

  async remove({ revision, ...place }: SharedLimit): Promise<void> {
    await removeAtRevision(this.#db, rowOf(place, revision));
  }
}

type Place = Pick<SharedLimit, 'organisationId' | 'scope' | 'scopeId'>;

function rowOf({ organisationId, scope, scopeId }: Place, revision: number) {
  const key = { organisation_id: organisationId, scope, scope_id: scopeId };
  return { table: 'shared_limit', key, revision, what: 'limit' } as const;
}
