import type { Kysely } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { Organisation, Project } from '../../../core/tenants.ts';
import type { Tables } from '../tables.ts';

/** Organisations and their projects. `default` and its project `default` exist in every store. */
export class TenantRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** False: there is one of this id. */
  async createOrganisation({ organisationId, name, createdAtMs }: Omit<Organisation, 'revision'>): Promise<boolean> {
    const made = await this.#db
      .insertInto('organisation')
      .values({ organisation_id: organisationId, name, created_at_ms: createdAtMs })
      .onConflict((conflict) => conflict.column('organisation_id').doNothing())
      .executeTakeFirst();
    return Number(made.numInsertedOrUpdatedRows) > 0;
  }

  /** False: there is one of this id. */
  async createProject({ organisationId, projectId, name, createdAtMs }: Omit<Project, 'revision'>): Promise<boolean> {
    const made = await this.#db
      .insertInto('project')
      .values({ organisation_id: organisationId, project_id: projectId, name, created_at_ms: createdAtMs })
      .onConflict((conflict) => conflict.columns(['organisation_id', 'project_id']).doNothing())
      .executeTakeFirst();
    return Number(made.numInsertedOrUpdatedRows) > 0;
  }

  async organisations(): Promise<readonly Organisation[]> {
    const rows = await this.#db.selectFrom('organisation').selectAll().orderBy('organisation_id').execute();
    return rows.map((row) => ({
      ...{ organisationId: row.organisation_id, name: row.name },
      ...{ createdAtMs: row.created_at_ms, revision: row.revision },
    }));
  }

  async projects(organisationId: string): Promise<readonly Project[]> {
    const rows = await this.#db
      .selectFrom('project')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .orderBy('project_id')
      .execute();
    return rows.map((row) => ({
      ...{ organisationId: row.organisation_id, projectId: row.project_id, name: row.name },
      ...{ createdAtMs: row.created_at_ms, revision: row.revision },
    }));
  }

  /** Rejects with RevisionConflict. */
  async renameOrganisation({ organisationId, revision }: Organisation, name: string): Promise<void> {
    const changed = await this.#db
      .updateTable('organisation')
      .set({ name, revision: revision + 1 })
      .where('organisation_id', '=', organisationId)
      .where('revision', '=', revision)
      .executeTakeFirst();
    if (Number(changed.numUpdatedRows) === 0) throw new RevisionConflict(`It is not at ${revision} any more.`);
  }

  /** Rejects with RevisionConflict. */
  async renameProject({ organisationId, projectId, revision }: Project, name: string): Promise<void> {
    const changed = await this.#db
      .updateTable('project')
      .set({ name, revision: revision + 1 })
      .where('organisation_id', '=', organisationId)
      .where('project_id', '=', projectId)
      .where('revision', '=', revision)
      .executeTakeFirst();
    if (Number(changed.numUpdatedRows) === 0) throw new RevisionConflict(`It is not at ${revision} any more.`);
  }
}
