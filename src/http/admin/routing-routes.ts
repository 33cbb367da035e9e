import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ListedRoute, RoutingDesk } from '../../core/routing.ts';
import { STRATEGY_NAMES } from '../../core/strategy-names.ts';
import type { RoutingPorts } from './alias-routes.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { needs } from './permission.ts';
import { refuseForAll, shown } from './problems.ts';
import { ROUTING_SOURCES, timeOf } from './routing-words.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { sourceWords } from './source-words.ts';
import { wrongQuery } from './wrong-query.ts';

const PATH = '/admin/routes';
const common = { tags: ['Routing'] };
const nameParam = z.object({ name: z.string().openapi({ example: 'sturdy' }) });
const noSuchRoute = jsonReply('There is no such route', errorSchema);
const notSetHere = jsonReply('It was not set through this API', errorSchema);

const RECOVERY = ['off', 'continue'] as const;
const strategyField = z.string().openapi({ enum: [...STRATEGY_NAMES] });
const firstToken = 'How long the first token may take locally before the cloud is worth its price.';
const routeSchema = z
  .object({
    name: z.string().openapi({ description: 'What `x-swarmrouter-route` says.' }),
    strategy: strategyField.openapi({ description: 'In force, as are the two below.' }),
    stream_recovery: z.enum(RECOVERY),
    max_first_token_ms: z.number().int().nullable(),
    set: z
      .object({
        strategy: strategyField.nullable(),
        stream_recovery: z.enum(RECOVERY).nullable(),
        max_first_token_ms: z.number().int().nullable(),
      })
      .nullable()
      .openapi({ description: 'What was said through this API; null in it: the gateway’s own setting counts.' }),
    source: z.enum(ROUTING_SOURCES).openapi({ description: '`admin`: set through this API.' }),
    replaces: z.enum(ROUTING_SOURCES).nullable().openapi({
      description: 'Where the one comes from that is in force again when this one is deleted.',
    }),
    revision: z.number().int().openapi({ description: '0: never set through this API.' }),
    updated_at: z.string().nullable(),
  })
  .openapi('Route');
const bodySchema = z
  .object({
    strategy: strategyField.nullable().optional(),
    stream_recovery: z.enum(RECOVERY).nullable().optional(),
    max_first_token_ms: z.number().int().nullable().optional().openapi({ description: firstToken }),
  })
  .openapi('NewRoute', { description: 'What is left out, or null, is as the gateway’s own setting says.' });
const removedSchema = z
  .object({ removed: z.string(), now_in_force: routeSchema.nullable(), message: z.string() })
  .openapi('RouteRemoved');

const listRoute = createRoute({
  ...{ ...common, ...needs('route:read'), method: 'get', path: PATH, operationId: 'listRoutes' },
  summary: 'Every route in force, by name, and where it comes from',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page',
      z.object({ routes: z.array(routeSchema), next_cursor: nextCursor }).openapi('RouteList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const oneRoute = createRoute({
  ...{ ...common, ...needs('route:read'), method: 'get', path: `${PATH}/{name}`, operationId: 'getRoute' },
  summary: 'One route in force',
  request: { params: nameParam },
  responses: { 200: jsonReply('The route', routeSchema), 401: errorReplies.unauthorized, 404: noSuchRoute },
});

const removeRoute = createRoute({
  ...{ ...common, ...needs('route:write'), method: 'delete', path: `${PATH}/{name}`, operationId: 'removeRoute' },
  summary: 'Delete a route that was set through this API',
  description: 'Requests that name it are refused from then on, unless it replaced one that is in force again.',
  request: { params: nameParam, headers: ifMatchHeader },
  responses: {
    ...{ 200: jsonReply('Deleted; tells what is in force now', removedSchema), 400: errorReplies.badRequest },
    ...{ 401: errorReplies.unauthorized, 404: noSuchRoute, 409: notSetHere, 412: changedSince, 503: storeTakesNothing },
  },
});

/** Ways to treat a request that it may choose by name. */
export function addRoutingRoutes(app: OpenAPIHono, { routing }: RoutingPorts): void {
  app.openapi(
    listRoute,
    (context) => {
      const { items, next_cursor } = pageOf(routing.routes(), ({ name }) => name, context.req.valid('query'));
      return context.json({ routes: items.map(routeBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(oneRoute, (context) => {
    const { name } = context.req.valid('param');
    return context.json(withEtag(context, find(routing, name)), 200);
  });
  app.openapi(removeRoute, async (context) => {
    const { name } = context.req.valid('param');
    const { source } = find(routing, name);
    if (source !== 'admin') {
      const message = `The route ${shown(name)} comes from the ${sourceWords(source)}: it is not deleted here. Nothing was changed.`;
      throw new AdminError(409, 'route_not_set_here', message, { param: 'name' });
    }
    const change = { revision: revisionOf(context), origin: auditOriginOf(context) };
    const removed = await orConflict('route', routing.removeRoute(name, change));
    if (removed === null) throw notFound(name, routing);
    const after = lookUp(routing, name);
    const then =
      after === null
        ? 'requests that name it are refused'
        : `the one from the ${sourceWords(after.source)} is in force again`;
    const reply = { removed: name, now_in_force: after === null ? null : routeBody(after) };
    return context.json({ ...reply, message: `The route "${name}" is deleted; ${then}.` }, 200);
  });

  app.openAPIRegistry.registerPath({
    ...{ ...common, ...needs('route:write'), method: 'put', path: `${PATH}/{name}`, operationId: 'setRoute' },
    summary: 'Set a route',
    description:
      'In force for the next request and kept over restarts; stronger than one of its name in the YAML file until it is deleted.',
    request: {
      ...{ params: nameParam, headers: ifMatchHeader },
      body: { required: true, content: { 'application/json': { schema: bodySchema } } },
    },
    responses: {
      ...{
        200: jsonReply('Replaced one that was set through this API', routeSchema),
        201: jsonReply('Set', routeSchema),
      },
      ...{ 400: errorReplies.badRequest, 401: errorReplies.unauthorized, 412: changedSince },
      ...{ 413: errorReplies.tooLarge, 415: errorReplies.notJson, 503: storeTakesNothing },
    },
  });
  app.put(`${PATH}/:name`, ...jsonBody, async (context) => {
    const body = await bodyOf(context);
    const change = { revision: revisionOf(context), origin: auditOriginOf(context) };
    const reading = await orConflict('route', routing.setRoute(context.req.param('name'), body, change));
    if (!reading.ok) throw refuseForAll(reading.problems, 'invalid_route');
    const { item, isNew } = reading.value;
    return context.json(withEtag(context, item), isNew ? 201 : 200);
  });
}

function lookUp(routing: RoutingDesk, name: string): ListedRoute | null {
  return routing.routes().find((route) => route.name === name) ?? null;
}

function find(routing: RoutingDesk, name: string): ListedRoute {
  const found = lookUp(routing, name);
  if (found === null) throw notFound(name, routing);
  return found;
}

function notFound(name: string, routing: RoutingDesk): AdminError {
  const known = routing.routes().map((route) => route.name);
  const message = `There is no route ${shown(name)}. There are: ${known.slice(0, 50).join(', ')}.`;
  return new AdminError(404, 'route_not_found', message, { param: 'name' });
}

function withEtag(context: Context, route: ListedRoute): z.infer<typeof routeSchema> {
  context.header('etag', `"${route.revision}"`);
  return routeBody(route);
}

const recovery = (on: boolean): (typeof RECOVERY)[number] => (on ? 'continue' : 'off');

function routeBody(route: ListedRoute): z.infer<typeof routeSchema> {
  const { name, settings, inForce, source, replaces, revision, updatedAtMs } = route;
  const { streamRecovery } = settings;
  const set = {
    strategy: settings.strategy,
    stream_recovery: streamRecovery === null ? null : recovery(streamRecovery),
    max_first_token_ms: settings.maxFirstTokenMs,
  };
  return {
    ...{ name, strategy: inForce.strategy },
    ...{ stream_recovery: recovery(inForce.streamRecovery), max_first_token_ms: inForce.maxFirstTokenMs },
    ...{ set: revision === 0 ? null : set, source, replaces, revision, updated_at: timeOf(updatedAtMs) },
  };
}
