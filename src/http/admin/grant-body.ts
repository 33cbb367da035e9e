import { z } from '@hono/zod-openapi';
import { isObject } from '../../core/json-shape.ts';
import { type Permission, ROLES, type Role } from '../../core/permissions.ts';
import type { Grant } from '../../core/principal.ts';
import { TENANT_ID, TENANT_ID_ALLOWED } from '../../core/tenants.ts';
import { unknownField } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { type Problem, shown } from './problems.ts';

/** A role, and where it holds. */
export const grantSchema = z
  .object({
    role: z.enum(ROLES),
    project: z.string().nullable().optional().openapi({
      description: 'The id of a project; null or left out: the whole organisation.',
    }),
  })
  .openapi('Grant');

export const grantsSchema = z.array(grantSchema).openapi({ example: [{ role: 'member', project: 'web' }] });

const MOST_GRANTS = 100;

/** Pure. Null: it is wrong, and `problems` has got what. */
export function readGrants(value: unknown, problems: Problem[]): readonly Grant[] | null {
  if (!Array.isArray(value) || value.length > MOST_GRANTS) {
    const allowed = `a list of at most ${MOST_GRANTS} roles such as [{"role": "member", "project": "web"}]`;
    problems.push({ field: 'grants', seen: value === undefined ? null : shown(value), allowed });
    return null;
  }
  const before = problems.length;
  const grants = value.flatMap((each, at) => readGrant(each, `grants.${at}`, problems) ?? []);
  if (problems.length > before) return null;
  const distinct = new Map(grants.map((grant) => [`${grant.role} ${grant.projectId ?? ''}`, grant]));
  return [...distinct.values()];
}

function readGrant(value: unknown, field: string, problems: Problem[]): Grant | null {
  if (!isObject(value)) {
    problems.push({ field, seen: shown(value), allowed: 'an object such as {"role": "member", "project": "web"}' });
    return null;
  }
  const { role, project = null, ...unknown } = value;
  for (const name of Object.keys(unknown)) {
    const problem = unknownField(name, ['role', 'project']);
    problems.push({ ...problem, field: `${field}.${problem.field}` });
  }
  if (!(ROLES as readonly unknown[]).includes(role)) {
    const seen = role === undefined ? null : shown(role);
    problems.push({ field: `${field}.role`, seen, allowed: `one of ${ROLES.join(', ')}` });
    return null;
  }
  if (project !== null && !(typeof project === 'string' && TENANT_ID.test(project))) {
    problems.push({ field: `${field}.project`, seen: shown(project), allowed: `null, or ${TENANT_ID_ALLOWED}` });
    return null;
  }
  return { role: role as Role, projectId: project as string | null };
}

export function grantBody({ role, projectId }: Grant): z.infer<typeof grantSchema> {
  return { role, project: projectId };
}

/** @param permission what the asker has, and what is not enough */
export function refusedGrant({ role, projectId }: Grant, permission: Permission): AdminError {
  const where = projectId === null ? 'in the whole organisation' : `in the project "${projectId}"`;
  const message = `The role ${role} ${where} is more than you may give or take: an owner gives every role, an admin every one but owner, each where they have it themselves. Nothing was changed.`;
  return new AdminError(403, 'permission_denied', message, { param: permission });
}
