import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Permission } from '../../core/permissions.ts';
import type { Reading } from '../../core/problem.ts';
import type { Listed, RoutingChange, RoutingSource, SetResult } from '../../core/routing.ts';
import { AdminError } from './error-envelope.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { needs } from './permission.ts';
import { refuseForAll, shown } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply, storeTakesNothing } from './schemas.ts';
import { sourceWords } from './source-words.ts';
import { wrongQuery } from './wrong-query.ts';

type Body = Readonly<Record<string, unknown>>;

/** Named things in force that may be set at run time over those of the settings: what one kind of them is. */
export interface RunTimeItems<Item extends Listed> {
  readonly noun: 'alias' | 'route';
  /** The list's field, and the last part of its path. */
  readonly plural: 'aliases' | 'routes';
  /** As the document calls it: `Alias`. */
  readonly schemaName: string;
  readonly article: 'a' | 'an';
  readonly exampleName: string;
  readonly permissions: { readonly read: Permission; readonly write: Permission };
  readonly schemas: { readonly item: z.ZodObject; readonly given: z.ZodObject; readonly set: z.ZodObject };
  readonly summaries: { readonly set: string; readonly whatSetDoes: string; readonly whatRemoveDoes: string };
  /** Of one that comes from the settings. */
  readonly notDeletedHere: string;
  /** What is so when one was deleted and nothing takes its place. */
  readonly nothingThen: string;
  all(): readonly Item[];
  isNamed(item: Item, name: string): boolean;
  set(name: string, body: unknown, change: RoutingChange): Promise<Reading<SetResult<Item>>>;
  remove(name: string, change: RoutingChange): Promise<Item | null>;
  /** Which there are. */
  hint(): string;
  body(item: Item): Body;
  setBody(item: Body, warnings: readonly string[]): Body;
}

/** Their list, one of them, setting and deleting one. */
export function addRunTimeItems<Item extends Listed>(app: OpenAPIHono, items: RunTimeItems<Item>): void {
  const { noun } = items;
  const routes = routesOf(items);
  const lookUp = (name: string): Item | null => items.all().find((item) => items.isNamed(item, name)) ?? null;
  const notFound = (name: string): AdminError =>
    new AdminError(404, `${noun}_not_found`, `There is no ${noun} ${shown(name)}. ${items.hint()}`, { param: 'name' });
  const find = (name: string): Item => {
    const found = lookUp(name);
    if (found === null) throw notFound(name);
    return found;
  };
  const withEtag = (context: Context, item: Item): Body => {
    context.header('etag', `"${item.revision}"`);
    return items.body(item);
  };

  app.openapi(
    routes.list,
    (context) => {
      const { items: page, next_cursor } = pageOf(items.all(), ({ name }) => name, context.req.valid('query'));
      return context.json({ [items.plural]: page.map(items.body), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(routes.one, (context) => context.json(withEtag(context, find(context.req.valid('param').name)), 200));
  app.openapi(routes.remove, async (context) => {
    const { name } = context.req.valid('param');
    refuseOfSettings(items, name, find(name).source);
    const removed = await orConflict(noun, items.remove(name, changeOf(context)));
    if (removed === null) throw notFound(name);
    const after = lookUp(name);
    const then = after === null ? items.nothingThen : `the one from the ${sourceWords(after.source)} is in force again`;
    const reply = { removed: removed.name, now_in_force: after === null ? null : items.body(after) };
    return context.json({ ...reply, message: `The ${noun} "${removed.name}" is deleted; ${then}.` }, 200);
  });
  app.openAPIRegistry.registerPath(routes.set);
  app.put(`${pathOf(items)}/:name`, ...jsonBody, async (context) => {
    const body = await bodyOf(context);
    const reading = await orConflict(noun, items.set(context.req.param('name'), body, changeOf(context)));
    if (!reading.ok) throw refuseForAll(reading.problems, `invalid_${noun}`);
    const { item, isNew, warnings } = reading.value;
    return context.json(items.setBody(withEtag(context, item), warnings), isNew ? 201 : 200);
  });
}

const pathOf = ({ plural }: Pick<RunTimeItems<Listed>, 'plural'>): string => `/admin/${plural}`;

function changeOf(context: Context): RoutingChange {
  return { revision: revisionOf(context), origin: auditOriginOf(context) };
}

function refuseOfSettings(
  { noun, notDeletedHere }: Pick<RunTimeItems<Listed>, 'noun' | 'notDeletedHere'>,
  name: string,
  source: RoutingSource,
): void {
  if (source === 'admin') return;
  const message = `The ${noun} ${shown(name)} comes from the ${sourceWords(source)}: ${notDeletedHere}. Nothing was changed.`;
  throw new AdminError(409, `${noun}_not_set_here`, message, { param: 'name' });
}

/** Their definitions, as the document has them. */
function routesOf<Item extends Listed>(items: RunTimeItems<Item>) {
  const { noun, plural, schemaName, article, permissions, schemas, summaries } = items;
  const path = pathOf(items);
  const common = { tags: ['Routing'] };
  const params = z.object({ name: z.string().openapi({ example: items.exampleName }) });
  const noSuch = jsonReply(`There is no such ${noun}`, errorSchema);
  const notSetHere = jsonReply('It was not set through this API', errorSchema);
  const listSchema = z.object({ [plural]: z.array(schemas.item), next_cursor: nextCursor });
  const removedSchema = z
    .object({ removed: z.string(), now_in_force: schemas.item.nullable(), message: z.string() })
    .openapi(`${schemaName}Removed`);
  const list = createRoute({
    ...{ ...common, ...needs(permissions.read), method: 'get', path, operationId: `list${capital(plural)}` },
    summary: `Every ${noun} in force, by name, and where it comes from`,
    request: { query: z.strictObject(pageQuery) },
    responses: {
      200: jsonReply('One page', listSchema.openapi(`${schemaName}List`)),
      400: jsonReply('A parameter is wrong', errorSchema),
      401: errorReplies.unauthorized,
    },
  });
  const one = createRoute({
    ...{
      ...common,
      ...needs(permissions.read),
      method: 'get',
      path: `${path}/{name}`,
      operationId: `get${schemaName}`,
    },
    summary: `One ${noun} in force`,
    request: { params },
    responses: { 200: jsonReply(`The ${noun}`, schemas.item), 401: errorReplies.unauthorized, 404: noSuch },
  });
  const remove = createRoute({
    ...{ ...common, ...needs(permissions.write), method: 'delete', path: `${path}/{name}` },
    operationId: `remove${schemaName}`,
    summary: `Delete ${article} ${noun} that was set through this API`,
    description: summaries.whatRemoveDoes,
    request: { params, headers: ifMatchHeader },
    responses: {
      ...{ 200: jsonReply('Deleted; tells what is in force now', removedSchema), 400: errorReplies.badRequest },
      ...{ 401: errorReplies.unauthorized, 404: noSuch, 409: notSetHere, 412: changedSince, 503: storeTakesNothing },
    },
  });
  const set = createRoute({
    ...{
      ...common,
      ...needs(permissions.write),
      method: 'put',
      path: `${path}/{name}`,
      operationId: `set${schemaName}`,
    },
    summary: summaries.set,
    description: summaries.whatSetDoes,
    request: {
      ...{ params, headers: ifMatchHeader },
      body: { required: true, content: { 'application/json': { schema: schemas.given } } },
    },
    responses: {
      200: jsonReply('Replaced one that was set through this API', schemas.set),
      201: jsonReply('Set', schemas.set),
      ...{ 400: errorReplies.badRequest, 401: errorReplies.unauthorized, 412: changedSince },
      ...{ 413: errorReplies.tooLarge, 415: errorReplies.notJson, 503: storeTakesNothing },
    },
  });
  return { list, one, remove, set };
}

const capital = (word: string): string => `${word.charAt(0).toUpperCase()}${word.slice(1)}`;
