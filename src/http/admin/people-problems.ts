import { NoSuchProject } from '../../core/budget-store.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { GrantRefused, NameTaken, NotOurs } from '../../core/people.ts';
import type { Permission } from '../../core/permissions.ts';
import { TenantExists } from '../../core/tenants.ts';
import { AdminError } from './error-envelope.ts';
import { refusedGrant } from './grant-body.ts';

/** What goes wrong with people, machines and tenants, in the words of the admin API. Rethrows what it does not know. */
export function peopleRefused(permission: Permission, param: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof GrantRefused) throw refusedGrant(error.grant, permission);
    if (error instanceof NoSuchProject) throw noSuchProject(error, param);
    if (error instanceof NotOurs) {
      const message = `${error.message} Their roles come from there (SWARMROUTER_OIDC_ROLES), and they have no password here. To shut them out: {"disabled": true}. Nothing was changed.`;
      throw new AdminError(409, 'user_of_identity_provider', message);
    }
    if (error instanceof NameTaken) {
      throw new AdminError(409, 'name_taken', `${error.message} Choose another. Nothing was changed.`, {
        param: 'name',
      });
    }
    if (error instanceof TenantExists) {
      throw new AdminError(409, 'tenant_exists', `${error.message} Nothing was changed.`, { param: 'id' });
    }
    // By name: the module of passwords is loaded only where passwords are.
    if (error instanceof Error && error.name === 'TooManyLogins') {
      const message = 'So many passwords are being checked now that yours would wait too long. Try again.';
      throw new AdminError(503, 'too_many_logins', message, { headers: { 'retry-after': '5' } });
    }
    throw error;
  };
}

export function noSuchProject({ projectId, projects }: NoSuchProject, param: string): AdminError {
  const nearest = nearestName(projectId, projects);
  const hint = nearest === null ? '' : ` Did you mean "${nearest}"?`;
  const message = `There is no project "${projectId}".${hint} There are: ${projects.slice(0, 20).join(', ')}. Nothing was changed.`;
  return new AdminError(400, 'project_not_found', message, { param });
}
