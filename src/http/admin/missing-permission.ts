import { DEFAULT_ORGANISATION } from '../../core/caller.ts';
import { type Permission, reachOf, roleMay, rolesWith } from '../../core/permissions.ts';
import type { Principal } from '../../core/principal.ts';

/** Why somebody may not, and who may: a role does not help where the permission reaches further than the role. */
export function missingText({ organisationId, grants }: Principal, permission: Permission): string {
  const having = rolesWith(permission);
  const roles = `Roles that have it: ${having.join(', ')}.`;
  // Whoever may not do it cannot give the role for it either.
  const whoGives = having.includes('admin') ? 'owner or admin' : 'owner';
  if (reachOf(permission) === 'gateway' && organisationId !== DEFAULT_ORGANISATION) {
    return `This needs the permission ${permission} in the organisation that runs the gateway, "${DEFAULT_ORGANISATION}"; your request is in "${organisationId}". ${roles} Ask whoever runs the gateway.`;
  }
  const fitting = grants.filter(({ role }) => roleMay(role, permission));
  if (fitting.length > 0) {
    const held = fitting.map(({ role, projectId }) => `${role} in the project "${projectId ?? ''}"`).join(', ');
    return `This needs the permission ${permission} in the whole organisation; you are only ${held}. ${roles} Ask an ${whoGives} of your whole organisation.`;
  }
  return `This needs the permission ${permission}, which you do not have. ${roles} Ask an ${whoGives} of your organisation.`;
}
