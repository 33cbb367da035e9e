import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { SHARED_SCOPES, type SharedScope } from '../../core/budget.ts';
import { DEFAULT_ORGANISATION } from '../../core/caller.ts';
import { isObject } from '../../core/json-shape.ts';
import type { Limits, SharedLimit } from '../../core/limits.ts';
import { unknownField } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { peopleRefused } from './people-problems.ts';
import { needs } from './permission.ts';
import { type Problem, refuseFor, shown } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { requireIn, sees, tenancyOf } from './tenancy.ts';
import { type KnownModels, noTargetHas, unknownNames } from './unknown-model.ts';
import { wrongQuery } from './wrong-query.ts';

type Place = Pick<SharedLimit, 'organisationId' | 'scope' | 'scopeId'>;

/** Sets and ends limits that several keys share. Null: there is no such limit. */
export interface LimitDesk {
  of(organisationId: string): Promise<readonly SharedLimit[]>;
  set(place: Place, given: Partial<Limits>, revision: number | null, origin: AuditOrigin): Promise<SharedLimit>;
  remove(place: Place, revision: number | null, origin: AuditOrigin): Promise<SharedLimit | null>;
}

export interface LimitPorts extends KnownModels {
  /** Makes the store where there is none. */
  readonly limits: () => Promise<LimitDesk>;
  /** Null: there is no store, and so no limit. */
  readonly limitsIfAny: () => Promise<LimitDesk | null>;
}

const PATH = '/admin/limits';
const LIMIT_NAMES = ['rpm', 'tpm', 'concurrent'] as const;
const FIELDS = ['scope', 'name', ...LIMIT_NAMES];
const MOST_NAME = 512;

const common = { tags: ['Keys'], path: PATH };
const limit = (description: string) => z.number().int().nullable().optional().openapi({ description });
const limitFields = {
  rpm: limit('Requests in any 60 seconds; null: no limit.'),
  tpm: limit('Tokens in any 60 seconds, prompts and answers together; null: no limit.'),
  concurrent: limit('Requests at once; null: no limit.'),
};
const placeFields = {
  scope: z.enum(SHARED_SCOPES),
  name: z.string().optional().openapi({
    description: 'The id of a project or the name of a model; of an organisation: left out.',
    example: 'web',
  }),
};
const setSchema = z.object({ ...placeFields, ...limitFields }).openapi('NewSharedLimit');
const limitSchema = z
  .object({
    ...{ scope: z.enum(SHARED_SCOPES), name: z.string() },
    ...{ rpm: z.number().nullable(), tpm: z.number().nullable(), concurrent: z.number().nullable() },
    revision: z.number().int(),
  })
  .openapi('SharedLimit');
const setLimitSchema = limitSchema
  .extend({ warnings: z.array(z.string()).openapi({ description: 'What is allowed, but probably not meant.' }) })
  .openapi('SharedLimitSet');
const removeQuery = z.object({ scope: z.string().optional(), name: z.string().optional() });

const listRoute = createRoute({
  ...common,
  ...needs('limit:read'),
  method: 'get',
  operationId: 'listLimits',
  summary: 'Limits of organisations, projects and models; those of keys are with the keys',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page',
      z.object({ limits: z.array(limitSchema), next_cursor: nextCursor }).openapi('SharedLimitList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});
const removeRoute = createRoute({
  ...common,
  ...needs('limit:write'),
  method: 'delete',
  operationId: 'removeLimit',
  summary: 'Remove the limits of an organisation, a project or a model',
  request: { query: removeQuery, headers: ifMatchHeader },
  responses: {
    200: jsonReply('What they were', limitSchema),
    400: errorReplies.badRequest,
    401: errorReplies.unauthorized,
    404: jsonReply('There are none', errorSchema),
    412: changedSince,
    503: storeTakesNothing,
  },
});

/** How much several keys may use within a minute, together. */
export function addLimitRoutes(app: OpenAPIHono, ports: LimitPorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const tenancy = tenancyOf(context, 'limit:read');
      const all = (await (await ports.limitsIfAny())?.of(tenancy.organisationId)) ?? [];
      const seen = all.filter((one) => sees(tenancy, { ...one, projectId: projectOf(one) }));
      const keyOf = ({ scope, scopeId }: SharedLimit): string => `${scope}\n${scopeId}`;
      const { items, next_cursor } = pageOf(seen, keyOf, context.req.valid('query'));
      return context.json({ limits: items.map(limitBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(removeRoute, async (context) => {
    const { scope, name } = context.req.valid('query');
    const place = placeOf(context, scope, name, []);
    const removing = (await ports.limitsIfAny())?.remove(place, revisionOf(context), auditOriginOf(context)) ?? null;
    const removed = removing === null ? null : await orConflict('limit', removing);
    if (removed === null) {
      const message = `There is no limit for the ${place.scope} "${place.scopeId.slice(0, 100)}". GET ${PATH} lists them.`;
      throw new AdminError(404, 'limit_not_found', message);
    }
    return context.json(limitBody(removed), 200);
  });
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('limit:write'),
    method: 'post',
    operationId: 'setLimit',
    summary: 'Limit what an organisation, a project or a model may use within a minute',
    description:
      'In force for the next request. What is given takes the place of what was there; null takes it away. Limits of a model count all callers of all tenants: only whoever runs the gateway sets them.',
    request: {
      headers: ifMatchHeader,
      body: { required: true, content: { 'application/json': { schema: setSchema } } },
    },
    responses: {
      200: jsonReply('In force', setLimitSchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      412: changedSince,
      503: storeTakesNothing,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const body = await bodyOf(context);
    if (!isObject(body)) {
      throw refuseFor([{ field: 'body', seen: shown(body), allowed: 'one JSON object' }], 'invalid_limit');
    }
    const problems: Problem[] = [];
    const given = readLimits(body, problems);
    const place = placeOf(context, body.scope, body.name, problems);
    const setting = (await ports.limits()).set(place, given, revisionOf(context), auditOriginOf(context));
    const set = await orConflict('limit', setting.catch(peopleRefused('limit:write', 'name')));
    context.header('etag', `"${set.revision}"`);
    return context.json({ ...limitBody(set), warnings: warningsFor(place, ports) }, 200);
  });
}

/** A limit of a model counts under every name that clients use for it: one that nobody may ask for counts nothing. */
function warningsFor({ scope, scopeId }: Place, known: KnownModels): string[] {
  if (scope !== 'model') return [];
  if (known.meaningOf(scopeId).name === '') {
    return [`"${scopeId}" stands for any model: the limit counts nothing. Name a model, or limit the organisation.`];
  }
  return unknownNames([scopeId], known).map((name) => `${noTargetHas(name, known)} The limit counts once one has it.`);
}

/** Null: it is the whole organisation's. */
function projectOf({ scope, scopeId }: Pick<Place, 'scope' | 'scopeId'>): string | null {
  return scope === 'project' ? scopeId : null;
}

/** @throws AdminError with these problems and its own, or 403 */
function placeOf(context: Context, scope: unknown, name: unknown, problems: Problem[]): Place {
  const tenancy = tenancyOf(context, 'limit:write');
  const { organisationId } = tenancy;
  const isNamed = typeof name === 'string' && name !== '' && name.length <= MOST_NAME && !/\p{C}/u.test(name);
  const seen = name === undefined ? null : shown(name);
  if (!(SHARED_SCOPES as readonly unknown[]).includes(scope)) {
    const allowed = `one of ${SHARED_SCOPES.join(', ')}; those of a key are changed with it (PATCH /admin/keys/{id})`;
    problems.push({ field: 'scope', seen: scope === undefined ? null : shown(scope), allowed });
  } else if (scope === 'organisation') {
    const isOwn = name === undefined || name === organisationId;
    if (!isOwn) problems.push({ field: 'name', seen, allowed: `left out, or "${organisationId}"` });
  } else if (!isNamed) {
    problems.push({
      field: 'name',
      seen,
      allowed: scope === 'project' ? 'the id of a project' : 'the name of a model',
    });
  }
  if (problems.length > 0) throw refuseFor(problems, 'invalid_limit');
  const place = {
    organisationId,
    scope: scope as SharedScope,
    scopeId: scope === 'organisation' ? organisationId : String(name),
  };
  requireIn(tenancy, projectOf(place));
  if (scope === 'model' && organisationId !== DEFAULT_ORGANISATION) {
    const message = 'A limit of a model counts all callers of all tenants: only whoever runs the gateway sets it.';
    throw new AdminError(403, 'permission_denied', message, { param: 'limit:write' });
  }
  return place;
}

function readLimits(body: Readonly<Record<string, unknown>>, problems: Problem[]): Partial<Limits> {
  for (const field of Object.keys(body)) if (!FIELDS.includes(field)) problems.push(unknownField(field, FIELDS));
  const given: { -readonly [Name in keyof Limits]?: number | null } = {};
  for (const name of LIMIT_NAMES) {
    const value = body[name];
    if (value === undefined) continue;
    if (value === null || (Number.isSafeInteger(value) && (value as number) >= 0)) given[name] = value as number | null;
    else problems.push({ field: name, seen: shown(value), allowed: 'a whole number from 0 on, or null for no limit' });
  }
  if (Object.keys(given).length === 0 && problems.length === 0) {
    problems.push({ field: 'rpm', seen: null, allowed: 'given, or tpm, or concurrent' });
  }
  return given;
}

function limitBody({ scope, scopeId, limits, revision }: SharedLimit): z.infer<typeof limitSchema> {
  return { scope, name: scopeId, ...limits, revision };
}
