import type { Kysely } from 'kysely';
import type { Tables } from '../tables.ts';

export interface Organisation {
  readonly organisationId: string;
  readonly name: string;
  readonly createdAtMs: number;
}

export interface Project extends Organisation {
  readonly projectId: string;
}

/** Organisations and their projects. `default` and its project `default` exist in every store. */
export class TenantRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async createOrganisation({ organisationId, name, createdAtMs }: Organisation): Promise<void> {
    await this.#db
      .insertInto('organisation')
      .values({ organisation_id: organisationId, name, created_at_ms: createdAtMs })
      .execute();
  }

  async createProject({ organisationId, projectId, name, createdAtMs }: Project): Promise<void> {
    await this.#db
      .insertInto('project')
      .values({ organisation_id: organisationId, project_id: projectId, name, created_at_ms: createdAtMs })
      .execute();
  }

  async organisations(): Promise<readonly Organisation[]> {
    const rows = await this.#db.selectFrom('organisation').selectAll().orderBy('organisation_id').execute();
    return rows.map((row) => ({
      organisationId: row.organisation_id,
      name: row.name,
      createdAtMs: row.created_at_ms,
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
      organisationId: row.organisation_id,
      projectId: row.project_id,
      name: row.name,
      createdAtMs: row.created_at_ms,
    }));
  }
}
