import { DEFAULT_ORGANISATION } from './caller.ts';
import { type Permission, type Role, reachOf, roleMay } from './permissions.ts';

/** A role, and where it holds. */
export interface Grant {
  readonly role: Role;
  /** Null: in the whole organisation. */
  readonly projectId: string | null;
}

/** Whom an admin request comes from. Nothing secret. */
export interface Principal {
  /** `admin`: whoever has the admin key · `user`: a person who logged in · `token`: a machine. */
  readonly kind: 'admin' | 'user' | 'token';
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly organisationId: string;
  readonly grants: readonly Grant[];
  /** How a person logged in; of nobody else. */
  readonly loginMethod?: LoginMethod;
}

export type LoginMethod = 'password' | 'oidc';

/** Whoever has the admin key owns the organisation that runs the gateway. */
export const ADMIN_KEY_PRINCIPAL: Principal = Object.freeze({
  ...{ kind: 'admin', id: 'admin-key', name: 'admin key', organisationId: DEFAULT_ORGANISATION },
  grants: [{ role: 'owner', projectId: null }],
} as const);

/** Projects that something is allowed in: all of the organisation, or these. */
export type ProjectScope = 'all' | ReadonlySet<string>;

const NONE: ReadonlySet<string> = new Set();

/** Where a principal may do it, within its own organisation. An empty set: nowhere. */
export function scopeOf({ organisationId, grants }: Principal, permission: Permission): ProjectScope {
  const reach = reachOf(permission);
  if (reach === 'gateway' && organisationId !== DEFAULT_ORGANISATION) return NONE;
  const fitting = grants.filter(({ role }) => roleMay(role, permission));
  if (fitting.some(({ projectId }) => projectId === null)) return 'all';
  if (reach !== 'project') return NONE;
  return new Set(fitting.flatMap(({ projectId }) => projectId ?? []));
}

/** Somewhere at least; what it is done to decides whether there. */
export function mayAtAll(principal: Principal, permission: Permission): boolean {
  const scope = scopeOf(principal, permission);
  return scope === 'all' || scope.size > 0;
}

export function includesProject(scope: ProjectScope, projectId: string): boolean {
  return scope === 'all' || scope.has(projectId);
}

/** What one may hand out: never more than one has oneself. */
export function mayGrant(giver: Principal, { role, projectId }: Grant): boolean {
  const holds = giver.grants.filter((grant) => grant.projectId === null || grant.projectId === projectId);
  return holds.some((grant) => grant.role === 'owner' || (grant.role === 'admin' && role !== 'owner'));
}
