import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { isObject } from '../../core/json-shape.ts';
import type { User } from '../../core/people.ts';
import type { Grant, Principal } from '../../core/principal.ts';
import { Secret } from '../../core/secret.ts';
import { unknownField } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { grantBody, grantsSchema, readGrants } from './grant-body.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { PASSWORD } from './own-password-body.ts';
import { byAge, nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { peopleRefused } from './people-problems.ts';
import { needs } from './permission.ts';
import { type Problem, refuseFor, shown } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { wrongQuery } from './wrong-query.ts';

interface Asker {
  readonly principal: Principal;
  readonly origin: AuditOrigin;
}
interface Change {
  readonly grants?: readonly Grant[];
  readonly password?: Secret;
  readonly disabled?: boolean;
}

/** Makes and changes people who log in. Null: there is no such user. */
export interface UserDesk {
  users(organisationId: string): Promise<readonly User[]>;
  createUser(
    user: { readonly name: string; readonly grants: readonly Grant[]; readonly password: Secret },
    asker: Asker,
  ): Promise<User>;
  changeUser(id: string, change: Change, revision: number | null, asker: Asker): Promise<User | null>;
}

export interface UserPorts {
  /** Makes the store where there is none. */
  readonly users: () => Promise<UserDesk>;
  /** Null: there is no store, and so nobody. */
  readonly usersIfAny: () => Promise<UserDesk | null>;
}

const PATH = '/admin/users';
const NAME = /^[^\s\p{C}\p{Z}]{1,100}$/u;

const common = { tags: ['People'] };
const idParam = z.object({ id: z.string().openapi({ example: 'usr_0199…' }) });
const noSuchUser = jsonReply('There is no such user', errorSchema);
const password = z.string().openapi({ description: `${PASSWORD.least} to ${PASSWORD.most} characters.` });
const userSchema = z
  .object({
    ...{ id: z.string(), name: z.string(), organisation: z.string(), grants: grantsSchema },
    oidc: z.object({ issuer: z.string(), subject: z.string() }).nullable().openapi({
      description:
        'Who they are at the identity provider, which says their name and roles; null: they have a password.',
    }),
    ...{ disabled: z.boolean(), created_at: z.string(), revision: z.number().int() },
  })
  .openapi('User');
const newUserSchema = z
  .object({ name: z.string().openapi({ example: 'alice' }), password, grants: grantsSchema })
  .openapi('NewUser');
const changeSchema = z
  .object({ password: password.optional(), grants: grantsSchema.optional(), disabled: z.boolean().optional() })
  .openapi('UserChange');

const listRoute = createRoute({
  ...common,
  ...needs('user:read'),
  method: 'get',
  path: PATH,
  operationId: 'listUsers',
  summary: 'People who may log in, oldest first',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply('One page', z.object({ users: z.array(userSchema), next_cursor: nextCursor }).openapi('UserList')),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

/** People of the admin API. */
export function addUserRoutes(app: OpenAPIHono, ports: UserPorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const users = (await (await ports.usersIfAny())?.users(context.get('principal').organisationId)) ?? [];
      const keyOf = ({ createdAtMs, id }: User): string => byAge(createdAtMs, id);
      const { items, next_cursor } = pageOf(users, keyOf, context.req.valid('query'));
      return context.json({ users: items.map(userBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  addWritingRoutes(app, ports);
}

function addWritingRoutes(app: OpenAPIHono, ports: UserPorts): void {
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('user:write'),
    method: 'post',
    path: PATH,
    operationId: 'createUser',
    summary: 'Let somebody log in',
    request: { body: { required: true, content: { 'application/json': { schema: newUserSchema } } } },
    responses: {
      201: jsonReply('Made', userSchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      403: jsonReply('A role is not yours to give', errorSchema),
      409: jsonReply('The name is taken', errorSchema),
      503: storeTakesNothing,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const { name, ...given } = read(
      await bodyOf(context),
      ['name', 'password', 'grants'],
      ['name', 'password', 'grants'],
    );
    const fields = { name: name ?? '', password: given.password ?? new Secret(''), grants: given.grants ?? [] };
    const desk = await ports.users();
    const made = await desk.createUser(fields, askerOf(context)).catch(peopleRefused('user:write', 'grants'));
    context.header('location', `${PATH}/${made.id}`);
    return context.json(shownUser(context, made), 201);
  });

  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('user:write'),
    method: 'patch',
    path: `${PATH}/{id}`,
    operationId: 'updateUser',
    summary: 'Change the roles or the password of somebody, or shut them out',
    description: 'In force at once: their sessions end.',
    request: {
      params: idParam,
      headers: ifMatchHeader,
      body: { required: true, content: { 'application/json': { schema: changeSchema } } },
    },
    responses: {
      200: jsonReply('Changed', userSchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      403: jsonReply('A role is not yours to give or take', errorSchema),
      404: noSuchUser,
      409: jsonReply('Their identity provider says it', errorSchema),
      412: changedSince,
      503: storeTakesNothing,
    },
  });
  app.patch(`${PATH}/:id`, ...jsonBody, async (context) => {
    const id = context.req.param('id') ?? '';
    const { name: _, ...change } = read(await bodyOf(context), [], ['password', 'grants', 'disabled']);
    const changing = (await ports.users()).changeUser(id, change, revisionOf(context), askerOf(context));
    const changed = await orConflict('user', changing.catch(peopleRefused('user:write', 'grants')));
    if (changed === null) {
      throw new AdminError(404, 'user_not_found', `There is no user "${id.slice(0, 100)}". GET ${PATH} lists them.`);
    }
    return context.json(shownUser(context, changed), 200);
  });
}

interface Given {
  name?: string;
  password?: Secret;
  grants?: readonly Grant[];
  disabled?: boolean;
}

/** Pure. @throws AdminError with every problem at once */
function read(body: unknown, required: readonly string[], known: readonly string[]): Given {
  if (!isObject(body)) {
    throw refuseFor([{ field: 'body', seen: shown(body), allowed: 'one JSON object' }], 'invalid_user');
  }
  const problems: Problem[] = [];
  const given: Given = {};
  for (const field of Object.keys(body)) if (!known.includes(field)) problems.push(unknownField(field, known));
  const wanted = (field: string): boolean =>
    known.includes(field) && (required.includes(field) || body[field] !== undefined);
  if (wanted('name')) {
    if (typeof body.name === 'string' && NAME.test(body.name)) given.name = body.name;
    else problems.push(problem('name', body.name, '1 to 100 characters without spaces, such as alice'));
  }
  if (wanted('password')) {
    const { password: text } = body;
    if (typeof text === 'string' && text.length >= PASSWORD.least && text.length <= PASSWORD.most) {
      given.password = new Secret(text);
    } else {
      const seen = text === undefined ? null : '(not shown)';
      problems.push({ field: 'password', seen, allowed: `${PASSWORD.least} to ${PASSWORD.most} characters` });
    }
  }
  if (wanted('grants')) {
    const grants = readGrants(body.grants, problems);
    if (grants !== null) given.grants = grants;
  }
  if (wanted('disabled')) {
    if (typeof body.disabled === 'boolean') given.disabled = body.disabled;
    else problems.push(problem('disabled', body.disabled, 'true or false'));
  }
  if (problems.length > 0) throw refuseFor(problems, 'invalid_user');
  return given;
}

function problem(field: string, value: unknown, allowed: string): Problem {
  return { field, seen: value === undefined ? null : shown(value), allowed };
}

function askerOf(context: Context): Asker {
  return { principal: context.get('principal'), origin: auditOriginOf(context) };
}

function shownUser(context: Context, user: User): z.infer<typeof userSchema> {
  context.header('etag', `"${user.revision}"`);
  return userBody(user);
}

function userBody({ id, name, organisationId, grants, ...rest }: User): z.infer<typeof userSchema> {
  return {
    ...{ id, name, organisation: organisationId, grants: grants.map(grantBody), oidc: rest.identity },
    ...{ disabled: rest.disabledAtMs !== null, created_at: new Date(rest.createdAtMs).toISOString() },
    revision: rest.revision,
  };
}
