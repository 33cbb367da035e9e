import type { Kysely } from 'kysely';
import { DEFAULT_PROJECT } from '../core/caller.ts';
import { type SharedLimitStore, TenantExists, type TenantStore } from '../core/tenants.ts';
import type { AuditLog } from './audit-log.ts';
import { SharedLimitRepository } from './sql/repositories/shared-limits.ts';
import { TenantRepository } from './sql/repositories/tenants.ts';
import type { Tables } from './sql/tables.ts';

type Recorder = Pick<AuditLog, 'recordChange'>;

/** Organisations and projects in the database, each change with its entry in the audit log. */
export function recordedTenants(db: Kysely<Tables>, audit: Recorder): TenantStore {
  const tenants = new TenantRepository(db);
  return {
    organisations: () => tenants.organisations(),
    projects: (organisationId) => tenants.projects(organisationId),
    createOrganisation: (made, event) =>
      audit.recordChange(event, async (work) => {
        const { organisationId, createdAtMs } = made;
        if (!(await new TenantRepository(work).createOrganisation(made)))
          throw existing('organisation', organisationId);
        const project = { organisationId, projectId: DEFAULT_PROJECT, name: 'Default', createdAtMs };
        await new TenantRepository(work).createProject(project);
      }),
    createProject: (made, event) =>
      audit.recordChange(event, async (work) => {
        if (!(await new TenantRepository(work).createProject(made))) throw existing('project', made.projectId);
      }),
    renameOrganisation: (before, name, event) =>
      audit.recordChange(event, (work) => new TenantRepository(work).renameOrganisation(before, name)),
    renameProject: (before, name, event) =>
      audit.recordChange(event, (work) => new TenantRepository(work).renameProject(before, name)),
  };
}

/** Limits that several keys share, likewise. */
export function recordedSharedLimits(db: Kysely<Tables>, audit: Recorder): SharedLimitStore {
  return {
    all: () => new SharedLimitRepository(db).all(),
    set: (limit, before, event) =>
      audit.recordChange(event, (work) => new SharedLimitRepository(work).set(limit, before)),
    remove: (limit, event) => audit.recordChange(event, (work) => new SharedLimitRepository(work).remove(limit)),
  };
}

function existing(what: string, id: string): TenantExists {
  return new TenantExists(`There is ${what === 'organisation' ? 'an' : 'a'} ${what} "${id}" already.`);
}
