import type { AuditEvent } from './audit.ts';
import type { SharedLimit } from './limits.ts';

/** A tenant: nothing of one is seen by another. */
export interface Organisation {
  readonly organisationId: string;
  /** For people. */
  readonly name: string;
  /** ms since the Unix epoch. */
  readonly createdAtMs: number;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
}

/** A part of an organisation that keys, budgets and roles may belong to. */
export interface Project extends Organisation {
  readonly projectId: string;
}

/** Of organisations and projects alike, since both stand in addresses, tables and metrics. */
export const TENANT_ID = /^[a-z0-9][a-z0-9._-]{0,62}$/;
export const TENANT_ID_ALLOWED = 'at most 63 of a-z, 0-9, ".", "_" and "-", beginning with a letter or digit';

/** There is one of this id already; nothing was written. */
export class TenantExists extends Error {
  override readonly name = 'TenantExists';
}

/** Where tenants are kept. A change is made whole, with its entry in the audit log, or not at all. */
export interface TenantStore {
  organisations(): Promise<readonly Organisation[]>;
  projects(organisationId: string): Promise<readonly Project[]>;
  /** With its project `default`. Rejects with TenantExists. */
  createOrganisation(made: Organisation, event: AuditEvent): Promise<void>;
  /** Rejects with TenantExists. */
  createProject(made: Project, event: AuditEvent): Promise<void>;
  /** Both reject with RevisionConflict. */
  renameOrganisation(before: Organisation, name: string, event: AuditEvent): Promise<void>;
  renameProject(before: Project, name: string, event: AuditEvent): Promise<void>;
}

/** Where limits that several keys share are kept. Likewise. */
export interface SharedLimitStore {
  /** Of all tenants. */
  all(): Promise<readonly SharedLimit[]>;
  /** @param before the revision that is there; 0: there is none. Rejects with RevisionConflict. */
  set(limit: Omit<SharedLimit, 'revision'>, before: number, event: AuditEvent): Promise<void>;
  /** Rejects with RevisionConflict. */
  remove(limit: SharedLimit, event: AuditEvent): Promise<void>;
}
