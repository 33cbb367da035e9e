import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ListedAlias, RoutingDesk } from '../../core/routing.ts';
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

export interface RoutingPorts {
  readonly routing: RoutingDesk;
}

const PATH = '/admin/aliases';
const common = { tags: ['Routing'] };
const nameParam = z.object({ name: z.string().openapi({ example: 'gpt-4o' }) });
const noSuchAlias = jsonReply('There is no such alias', errorSchema);
const notSetHere = jsonReply('It was not set through this API', errorSchema);

const aliasSchema = z
  .object({
    name: z.string(),
    target: z.string().openapi({ description: 'The model that is asked for in its place.', example: 'qwen2.5-32b' }),
    source: z.enum(ROUTING_SOURCES).openapi({ description: '`admin`: set through this API.' }),
    replaces: z.enum(ROUTING_SOURCES).nullable().openapi({
      description: 'Where the one comes from that is in force again when this one is deleted.',
    }),
    revision: z.number().int().openapi({ description: '0: never set through this API.' }),
    updated_at: z.string().nullable(),
  })
  .openapi('Alias');
const setSchema = z.object({ alias: aliasSchema, warnings: z.array(z.string()) }).openapi('AliasSet');
const removedSchema = z
  .object({ removed: z.string(), now_in_force: aliasSchema.nullable(), message: z.string() })
  .openapi('AliasRemoved');
const bodySchema = z
  .object({ target: z.string().openapi({ example: 'openrouter/openai/gpt-4o-mini' }) })
  .openapi('NewAlias');

const listRoute = createRoute({
  ...{ ...common, ...needs('alias:read'), method: 'get', path: PATH, operationId: 'listAliases' },
  summary: 'Every alias in force, by name, and where it comes from',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page',
      z.object({ aliases: z.array(aliasSchema), next_cursor: nextCursor }).openapi('AliasList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const oneRoute = createRoute({
  ...{ ...common, ...needs('alias:read'), method: 'get', path: `${PATH}/{name}`, operationId: 'getAlias' },
  summary: 'One alias in force',
  request: { params: nameParam },
  responses: { 200: jsonReply('The alias', aliasSchema), 401: errorReplies.unauthorized, 404: noSuchAlias },
});

const removeRoute = createRoute({
  ...{ ...common, ...needs('alias:write'), method: 'delete', path: `${PATH}/{name}`, operationId: 'removeAlias' },
  summary: 'Delete an alias that was set through this API',
  description: 'One that it replaced is in force again for the next request.',
  request: { params: nameParam, headers: ifMatchHeader },
  responses: {
    ...{ 200: jsonReply('Deleted; tells what is in force now', removedSchema), 400: errorReplies.badRequest },
    ...{ 401: errorReplies.unauthorized, 404: noSuchAlias, 409: notSetHere, 412: changedSince, 503: storeTakesNothing },
  },
});

/** Names that clients may ask for, and the models that they stand for. */
export function addAliasRoutes(app: OpenAPIHono, { routing }: RoutingPorts): void {
  app.openapi(
    listRoute,
    (context) => {
      const { items, next_cursor } = pageOf(routing.aliases(), ({ name }) => name, context.req.valid('query'));
      return context.json({ aliases: items.map(aliasBody), next_cursor }, 200);
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
      const message = `The alias ${shown(name)} comes from the ${sourceWords(source)}: change it there. Nothing was changed.`;
      throw new AdminError(409, 'alias_not_set_here', message, { param: 'name' });
    }
    const change = { revision: revisionOf(context), origin: auditOriginOf(context) };
    const removed = await orConflict('alias', routing.removeAlias(name, change));
    if (removed === null) throw notFound(name);
    const after = lookUp(routing, name);
    const then =
      after === null ? 'nothing takes its place' : `the one from the ${sourceWords(after.source)} is in force again`;
    const reply = { removed: removed.name, now_in_force: after === null ? null : aliasBody(after) };
    return context.json({ ...reply, message: `The alias "${removed.name}" is deleted; ${then}.` }, 200);
  });

  app.openAPIRegistry.registerPath({
    ...{ ...common, ...needs('alias:write'), method: 'put', path: `${PATH}/{name}`, operationId: 'setAlias' },
    summary: 'Set what a name stands for',
    description:
      'In force for the next request and kept over restarts; stronger than one of its name in the environment or YAML until it is deleted. Names are told apart without case.',
    request: {
      ...{ params: nameParam, headers: ifMatchHeader },
      body: { required: true, content: { 'application/json': { schema: bodySchema } } },
    },
    responses: {
      ...{ 200: jsonReply('Replaced one that was set through this API', setSchema), 201: jsonReply('Set', setSchema) },
      ...{ 400: errorReplies.badRequest, 401: errorReplies.unauthorized, 412: changedSince },
      ...{ 413: errorReplies.tooLarge, 415: errorReplies.notJson, 503: storeTakesNothing },
    },
  });
  app.put(`${PATH}/:name`, ...jsonBody, async (context) => {
    const body = await bodyOf(context);
    const change = { revision: revisionOf(context), origin: auditOriginOf(context) };
    const reading = await orConflict('alias', routing.setAlias(context.req.param('name'), body, change));
    if (!reading.ok) throw refuseForAll(reading.problems, 'invalid_alias');
    const { item, isNew, warnings } = reading.value;
    return context.json({ alias: withEtag(context, item), warnings: [...warnings] }, isNew ? 201 : 200);
  });
}

function lookUp(routing: RoutingDesk, name: string): ListedAlias | null {
  const wanted = name.toLowerCase();
  return routing.aliases().find((alias) => alias.name.toLowerCase() === wanted) ?? null;
}

function find(routing: RoutingDesk, name: string): ListedAlias {
  const found = lookUp(routing, name);
  if (found === null) throw notFound(name);
  return found;
}

function notFound(name: string): AdminError {
  const message = `There is no alias ${shown(name)}. GET ${PATH} lists them.`;
  return new AdminError(404, 'alias_not_found', message, { param: 'name' });
}

function withEtag(context: Context, alias: ListedAlias): z.infer<typeof aliasSchema> {
  context.header('etag', `"${alias.revision}"`);
  return aliasBody(alias);
}

function aliasBody({
  name,
  target,
  source,
  replaces,
  revision,
  updatedAtMs,
}: ListedAlias): z.infer<typeof aliasSchema> {
  return { name, target, source, replaces, revision, updated_at: timeOf(updatedAtMs) };
}
