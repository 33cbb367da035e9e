import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { AuditOrigin } from '../../core/audit.ts';
import { isObject } from '../../core/json-shape.ts';
import { type ServiceToken, type TokenShownOnce, tokenRevision, tokenState } from '../../core/people.ts';
import type { Principal } from '../../core/principal.ts';
import type { Secret } from '../../core/secret.ts';
import { unknownField } from './budget-body.ts';
import { AdminError } from './error-envelope.ts';
import { grantBody, grantsSchema, readGrants } from './grant-body.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
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

/** Makes and ends credentials of machines. Null: there is no such token. */
export interface TokenDesk {
  tokens(organisationId: string): Promise<readonly ServiceToken[]>;
  createToken(given: Pick<ServiceToken, 'name' | 'grants' | 'expiresAtMs'>, asker: Asker): Promise<TokenShownOnce>;
  /** @param revision that must be there, else it rejects with RevisionConflict; null: whichever */
  revokeToken(id: string, revision: number | null, asker: Asker): Promise<ServiceToken | null>;
}

export interface TokenPorts {
  /** Makes the store where there is none. */
  readonly tokens: () => Promise<TokenDesk>;
  /** Null: there is no store, and so no token. */
  readonly tokensIfAny: () => Promise<TokenDesk | null>;
  /** Told of each that is given out. */
  readonly tokenMade: (text: Secret) => void;
  /** ms since the Unix epoch. */
  readonly wallMs: () => number;
}

const PATH = '/admin/tokens';
const NAME = /^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u;

const common = { tags: ['People'] };
const tokenFields = {
  ...{ id: z.string(), name: z.string(), organisation: z.string(), grants: grantsSchema },
  prefix: z.string().openapi({ description: 'How it begins and ends.', example: 'wgl_admin_Ab3d…9f3c' }),
  state: z.enum(['live', 'expired', 'revoked']),
  created_at: z.string(),
  expires_at: z.string().nullable(),
  revision: z.number().int(),
};
const tokenSchema = z.object(tokenFields).openapi('ServiceToken');
const madeSchema = z
  .object({ ...tokenFields, token: z.string().openapi({ description: 'Shown here and nowhere else.' }) })
  .openapi('MadeServiceToken');
const newTokenSchema = z
  .object({
    name: z.string().openapi({ example: 'grafana' }),
    grants: grantsSchema,
    expires_at: z.string().nullable().optional().openapi({ description: 'Left out or null: never.' }),
  })
  .openapi('NewServiceToken');

const listRoute = createRoute({
  ...common,
  ...needs('token:read'),
  method: 'get',
  path: PATH,
  operationId: 'listTokens',
  summary: 'Service tokens of machines, oldest first',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page',
      z.object({ tokens: z.array(tokenSchema), next_cursor: nextCursor }).openapi('ServiceTokenList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const revokeRoute = createRoute({
  ...common,
  ...needs('token:write'),
  method: 'delete',
  path: `${PATH}/{id}`,
  operationId: 'revokeToken',
  summary: 'Revoke a service token, at once and for good',
  request: { params: z.object({ id: z.string().openapi({ example: 'tok_0199…' }) }), headers: ifMatchHeader },
  responses: {
    200: jsonReply('Revoked', tokenSchema),
    400: jsonReply('The If-Match header is wrong', errorSchema),
    401: errorReplies.unauthorized,
    403: jsonReply('It has a role that is not yours to take', errorSchema),
    404: jsonReply('There is no such token', errorSchema),
    412: changedSince,
    503: storeTakesNothing,
  },
});

/** Machines of the admin API. Their tokens open nothing of the data plane. */
export function addTokenRoutes(app: OpenAPIHono, ports: TokenPorts): void {
  const bodyFor = (token: ServiceToken) => tokenBody(token, ports.wallMs());
  app.openapi(
    listRoute,
    async (context) => {
      const tokens = (await (await ports.tokensIfAny())?.tokens(context.get('principal').organisationId)) ?? [];
      const keyOf = ({ createdAtMs, id }: ServiceToken): string => byAge(createdAtMs, id);
      const { items, next_cursor } = pageOf(tokens, keyOf, context.req.valid('query'));
      return context.json({ tokens: items.map(bodyFor), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(revokeRoute, async (context) => {
    const { id } = context.req.valid('param');
    const desk = await ports.tokensIfAny();
    const revoking = desk?.revokeToken(id, revisionOf(context), askerOf(context)) ?? Promise.resolve(null);
    const revoked = await orConflict('token', revoking.catch(peopleRefused('token:write', 'grants')));
    if (revoked === null) {
      throw new AdminError(404, 'token_not_found', `There is no token "${id.slice(0, 100)}". GET ${PATH} lists them.`);
    }
    context.header('etag', `"${tokenRevision(revoked)}"`);
    return context.json(bodyFor(revoked), 200);
  });
  app.openAPIRegistry.registerPath({
    ...common,
    ...needs('token:write'),
    method: 'post',
    path: PATH,
    operationId: 'createToken',
    summary: 'Make a service token for a machine',
    request: { body: { required: true, content: { 'application/json': { schema: newTokenSchema } } } },
    responses: {
      201: jsonReply('Made', madeSchema),
      400: errorReplies.badRequest,
      401: errorReplies.unauthorized,
      403: jsonReply('A role is not yours to give', errorSchema),
      503: storeTakesNothing,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const given = read(await bodyOf(context), ports.wallMs());
    const desk = await ports.tokens();
    const made = await desk.createToken(given, askerOf(context)).catch(peopleRefused('token:write', 'grants'));
    ports.tokenMade(made.text);
    context.header('etag', `"${tokenRevision(made.token)}"`);
    return context.json({ ...bodyFor(made.token), token: made.text.reveal() }, 201);
  });
}

const FIELDS = ['name', 'grants', 'expires_at'];

/** Pure. @throws AdminError with every problem at once */
function read(body: unknown, nowMs: number): Pick<ServiceToken, 'name' | 'grants' | 'expiresAtMs'> {
  if (!isObject(body)) {
    throw refuseFor([{ field: 'body', seen: shown(body), allowed: 'one JSON object' }], 'invalid_token');
  }
  const { name, grants, expires_at: expiresAt = null } = body;
  const problems: Problem[] = Object.keys(body).flatMap((field) =>
    FIELDS.includes(field) ? [] : [unknownField(field, FIELDS)],
  );
  if (typeof name !== 'string' || !NAME.test(name) || name.trim() === '') {
    problems.push({ field: 'name', seen: name === undefined ? null : shown(name), allowed: '1 to 100 characters' });
  }
  const read = readGrants(grants, problems);
  const isTime = typeof expiresAt === 'string' && /^\d{4}-\d\d-\d\dT/.test(expiresAt);
  const expiresAtMs = isTime ? Date.parse(expiresAt) : Number.NaN;
  if (expiresAt !== null && !(expiresAtMs > nowMs)) {
    const allowed = 'a time to come such as 2030-01-31T12:00:00Z, or null for never';
    problems.push({ field: 'expires_at', seen: shown(expiresAt), allowed });
  }
  if (problems.length > 0 || read === null) throw refuseFor(problems, 'invalid_token');
  return { name: String(name).trim(), grants: read, expiresAtMs: expiresAt === null ? null : expiresAtMs };
}

function askerOf(context: Context): Asker {
  return { principal: context.get('principal'), origin: auditOriginOf(context) };
}

function tokenBody(token: ServiceToken, nowMs: number): z.infer<typeof tokenSchema> {
  const { id, name, organisationId, grants, prefix, lastFour, createdAtMs, expiresAtMs } = token;
  return {
    ...{ id, name, organisation: organisationId, grants: grants.map(grantBody), prefix: `${prefix}…${lastFour}` },
    ...{ state: tokenState(token, nowMs), created_at: new Date(createdAtMs).toISOString() },
    expires_at: expiresAtMs === null ? null : new Date(expiresAtMs).toISOString(),
    revision: tokenRevision(token),
  };
}
