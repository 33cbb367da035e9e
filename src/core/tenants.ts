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
