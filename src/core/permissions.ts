/** What people and machines of the admin API may be. Each holds for a whole organisation or for one of its projects. */
export const ROLES = ['owner', 'admin', 'operator', 'auditor', 'member'] as const;
export type Role = (typeof ROLES)[number];

/**
 * How far a permission reaches. `gateway`: servers, configuration and what all tenants share; only people of the
 * organisation that runs the gateway (`default`) ever hold it · `organisation`: all projects of one · `project`: may be
 * held for single projects.
 */
export type PermissionReach = 'gateway' | 'organisation' | 'project';

interface Rule {
  readonly reach: PermissionReach;
  readonly roles: readonly Role[];
}

const EVERYONE = ROLES;

/** The one table of who may do what. What is not in it, nobody may. */
const TABLE = {
  'status:read': { reach: 'gateway', roles: EVERYONE },
  'decision:read': { reach: 'gateway', roles: ['owner', 'admin', 'operator', 'auditor'] },
  'route:explain': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'configuration:reload': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'provider:read': { reach: 'gateway', roles: ['owner', 'admin', 'operator', 'auditor'] },
  'provider:write': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'alias:read': { reach: 'gateway', roles: EVERYONE },
  'alias:write': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'route:read': { reach: 'gateway', roles: EVERYONE },
  'route:write': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'secret:rotate': { reach: 'gateway', roles: ['owner', 'admin'] },
  'price:read': { reach: 'gateway', roles: EVERYONE },
  'price:write': { reach: 'gateway', roles: ['owner', 'admin', 'operator'] },
  'ledger:verify': { reach: 'gateway', roles: ['owner', 'admin', 'auditor'] },
  'organisation:read': { reach: 'gateway', roles: ['owner', 'admin', 'auditor'] },
  'organisation:write': { reach: 'gateway', roles: ['owner'] },
  'project:read': { reach: 'project', roles: EVERYONE },
  'project:write': { reach: 'organisation', roles: ['owner', 'admin'] },
  'key:read': { reach: 'project', roles: EVERYONE },
  'key:write': { reach: 'project', roles: ['owner', 'admin'] },
  'budget:read': { reach: 'project', roles: EVERYONE },
  'budget:write': { reach: 'project', roles: ['owner', 'admin'] },
  'limit:read': { reach: 'project', roles: EVERYONE },
  'limit:write': { reach: 'project', roles: ['owner', 'admin'] },
  'usage:read': { reach: 'project', roles: EVERYONE },
  'usage:export': { reach: 'project', roles: ['owner', 'admin', 'auditor'] },
  'audit:read': { reach: 'organisation', roles: ['owner', 'admin', 'auditor'] },
  'user:read': { reach: 'organisation', roles: ['owner', 'admin', 'auditor'] },
  'user:write': { reach: 'organisation', roles: ['owner', 'admin'] },
  'token:read': { reach: 'organisation', roles: ['owner', 'admin', 'auditor'] },
  'token:write': { reach: 'organisation', roles: ['owner', 'admin'] },
} as const satisfies Readonly<Record<`${string}:${string}`, Rule>>;

export type Permission = keyof typeof TABLE;

export const PERMISSIONS = Object.keys(TABLE) as readonly Permission[];

export function reachOf(permission: Permission): PermissionReach {
  return TABLE[permission].reach;
}

/** Who has it, for people who have not. */
export function rolesWith(permission: Permission): readonly Role[] {
  return TABLE[permission].roles;
}

export function roleMay(role: Role, permission: Permission): boolean {
  // A name that is in no table comes from outside the types, and is denied.
  return Object.hasOwn(TABLE, permission) && rolesWith(permission).includes(role);
}
