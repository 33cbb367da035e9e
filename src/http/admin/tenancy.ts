import type { Context } from 'hono';
import type { Permission } from '../../core/permissions.ts';
import { includesProject, type ProjectScope, scopeOf } from '../../core/principal.ts';
import { AdminError } from './error-envelope.ts';

/** What of an organisation a request may do one thing to. */
export interface Tenancy {
  readonly organisationId: string;
  readonly permission: Permission;
  readonly scope: ProjectScope;
}

/** A tenant's things. */
interface Owned {
  readonly organisationId: string;
  /** Null: the whole organisation's. */
  readonly projectId: string | null;
}

export function tenancyOf(context: Context, permission: Permission): Tenancy {
  const principal = context.get('principal');
  return { organisationId: principal.organisationId, permission, scope: scopeOf(principal, permission) };
}

/** Whether it is shown. What is another tenant's is not there, for whoever asks. */
export function sees({ organisationId, scope }: Tenancy, owned: Owned): boolean {
  if (owned.organisationId !== organisationId) return false;
  return owned.projectId === null ? scope === 'all' : includesProject(scope, owned.projectId);
}

/** Projects to look through; null: all of them. @param asked only this one; undefined: whichever */
export function projectsOf({ scope }: Tenancy, asked: string | undefined): readonly string[] | null {
  if (asked !== undefined) return includesProject(scope, asked) ? [asked] : [];
  return scope === 'all' ? null : [...scope];
}

/**
 * For a change of something that is shown to whoever asks for it, or is not there yet.
 * @param projectId null: it is the whole organisation's
 * @throws AdminError 403
 */
export function requireIn({ permission, scope }: Tenancy, projectId: string | null): void {
  if (scope === 'all' || (projectId !== null && scope.has(projectId))) return;
  const where = projectId === null ? 'in the whole organisation' : `in the project "${projectId}"`;
  const held = [...scope].map((id) => `"${id}"`).join(', ');
  const message = `This needs the permission ${permission} ${where}; you have it in ${held === '' ? 'none' : held}. Ask an owner or admin of your organisation.`;
  throw new AdminError(403, 'permission_denied', message, { param: permission });
}
