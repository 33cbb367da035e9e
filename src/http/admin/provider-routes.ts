import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { GivenProvider, ProviderGiven } from '../../core/given-provider.ts';
import { isObject } from '../../core/json-shape.ts';
import { RevisionConflict } from '../../core/key-store.ts';
import type { Problem, Reading } from '../../core/problem.ts';
import type { Target } from '../../core/target.ts';
import type { TargetView } from '../../core/target-view.ts';
import { AdminError } from './error-envelope.ts';
import type { AddedProvider, GivenProviderService, ProviderFront } from './given-providers.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { bodyOf, jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { nextCursor, PAGE_ALLOWED, pageOf, pageQuery } from './page.ts';
import { needs } from './permission.ts';
import { refuseForAll, shown } from './problems.ts';
import {
  newProviderSchema,
  providerBody,
  providerChangeSchema,
  providerPutSchema,
  providerSchema,
  removedSchema,
  type ShownProvider,
  writtenSchema,
} from './provider-schemas.ts';
import { changedSince, errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { sourceWords } from './source-words.ts';
import { wrongQuery } from './wrong-query.ts';

export interface ProviderPorts {
  readonly providers: GivenProviderService;
  /** A provider from a body. @param before what is there, of which the body says what changes; null: it is a new one */
  readProvider(body: unknown, before: GivenProvider | null): Reading<ProviderGiven>;
  targets(): readonly TargetView[];
  /** Of the environment, YAML and this machine, whether or not a provider of their name was given. */
  configuredTargets(): readonly Target[];
}

const PATH = '/admin/providers';
const WORDS: ProviderFront = {
  ...{ url: 'url', defaultModel: 'default_model', invalid: 'invalid_provider', notFound: 'provider_not_found' },
};

const common = { tags: ['Routing'] };
const nameParam = z.object({ name: z.string().openapi({ example: 'studio' }) });
const noSuchProvider = jsonReply('There is no such provider', errorSchema);
const notStored = jsonReply('It could not be stored; nothing was changed', errorSchema);
const notVerified = jsonReply('The free call failed; nothing was changed', errorSchema);
const notChangeable = jsonReply('It was not given through this API', errorSchema);
const body = <Schema extends z.ZodType>(schema: Schema) => ({
  required: true,
  content: { 'application/json': { schema } },
});
const writeErrors = {
  ...{ 400: errorReplies.badRequest, 401: errorReplies.unauthorized, 412: changedSince },
  ...{ 413: errorReplies.tooLarge, 415: errorReplies.notJson, 422: notVerified, 500: notStored },
};

const listRoute = createRoute({
  ...{ ...common, ...needs('provider:read'), method: 'get', path: PATH, operationId: 'listProviders' },
  summary: 'Every target in force, by name: where it comes from, and how it is',
  request: { query: z.strictObject(pageQuery) },
  responses: {
    200: jsonReply(
      'One page, keys masked',
      z.object({ providers: z.array(providerSchema), next_cursor: nextCursor }).openapi('ProviderList'),
    ),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
    500: notStored,
  },
});

const oneRoute = createRoute({
  ...{ ...common, ...needs('provider:read'), method: 'get', path: `${PATH}/{name}`, operationId: 'getProvider' },
  summary: 'One target in force',
  request: { params: nameParam },
  responses: {
    ...{ 200: jsonReply('The provider', providerSchema), 401: errorReplies.unauthorized },
    ...{ 404: noSuchProvider, 500: notStored },
  },
});

const removeRoute = createRoute({
  ...{ ...common, ...needs('provider:write'), method: 'delete', path: `${PATH}/{name}`, operationId: 'removeProvider' },
  summary: 'Delete a provider that was given through this API',
  description: 'Gone for the next request; streams in flight go on. One that it replaced is in force again.',
  request: { params: nameParam, headers: ifMatchHeader },
  responses: {
    200: jsonReply('Deleted; tells what is in force now', removedSchema),
    ...{ 401: errorReplies.unauthorized, 404: noSuchProvider, 409: notChangeable, 412: changedSince, 500: notStored },
  },
});

/** Model servers and clouds. */
export function addProviderRoutes(app: OpenAPIHono, ports: ProviderPorts): void {
  app.openapi(
    listRoute,
    async (context) => {
      const all = shownProviders(ports, await ports.providers.list());
      const { items, next_cursor } = pageOf(all, ({ view }) => view.target.id, context.req.valid('query'));
      return context.json({ providers: items.map(providerBody), next_cursor }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(pageQuery, PAGE_ALLOWED, context.req.query());
    },
  );
  app.openapi(oneRoute, async (context) => {
    const found = await find(ports, context.req.valid('param').name);
    return context.json(withEtag(context, found), 200);
  });
  app.openapi(removeRoute, async (context) => {
    const { name } = context.req.valid('param');
    await requireGiven(ports, name);
    const change = { revision: revisionOf(context), origin: auditOriginOf(context), words: WORDS };
    await orConflict('provider', ports.providers.remove(name, change));
    // What was only found is left out while another provider has its address.
    const after = await lookUp(ports, name);
    const then =
      after === null
        ? 'nothing takes its place'
        : `the one from the ${sourceWords(after.view.target.source)} is in force again`;
    const reply = { removed: name, now_in_force: after === null ? null : providerBody(after) };
    return context.json({ ...reply, message: `${name} is deleted; ${then}.` }, 200);
  });
  addWritingRoutes(app, ports);
}

/** Their bodies are read as targets of the YAML file are; the document gets their schemas all the same. */
function addWritingRoutes(app: OpenAPIHono, ports: ProviderPorts): void {
  app.openAPIRegistry.registerPath({
    ...{ ...common, ...needs('provider:write'), method: 'post', path: PATH, operationId: 'addProvider' },
    summary: 'Add a model server or a cloud',
    description:
      'In force for the next request and kept over restarts. Stronger than one of its name in the environment or YAML until it is deleted.',
    request: { body: body(newProviderSchema) },
    responses: {
      201: jsonReply('Added', writtenSchema),
      409: jsonReply('One of this name was given through this API already', errorSchema),
      ...writeErrors,
    },
  });
  app.post(PATH, ...jsonBody, async (context) => {
    const { fields, verify } = split(await bodyOf(context));
    const given = readOr(ports.readProvider(fields, null), fields, verify);
    const adding = ports.providers.put(given, changeOf(context, verify, 0));
    const added = await adding.catch((error: unknown) => {
      if (!(error instanceof RevisionConflict)) throw error;
      const message = `There is a provider "${given.name}" already. Change it with PATCH ${PATH}/${given.name}, or replace it with PUT. Nothing was changed.`;
      throw new AdminError(409, 'provider_exists', message, { param: 'name' });
    });
    context.header('location', `${PATH}/${given.name}`);
    return context.json(await written(context, ports, added), 201);
  });

  app.openAPIRegistry.registerPath({
    ...{ ...common, ...needs('provider:write'), method: 'put', path: `${PATH}/{name}`, operationId: 'putProvider' },
    summary: 'Add a provider, or replace the one of this name',
    description: 'What is left out is what is usual, the key too.',
    request: { params: nameParam, headers: ifMatchHeader, body: body(providerPutSchema) },
    responses: { 200: jsonReply('Replaced', writtenSchema), 201: jsonReply('Added', writtenSchema), ...writeErrors },
  });
  app.put(`${PATH}/:name`, ...jsonBody, async (context) => {
    const { fields, verify } = split(await bodyOf(context));
    // In the path alone, so that the two never differ.
    const named = isObject(fields) ? { name: context.req.param('name'), ...fields } : fields;
    if (isObject(fields) && fields['name'] !== undefined && fields['name'] !== context.req.param('name')) {
      throw refuseForAll([otherName(fields['name'])], WORDS.invalid);
    }
    const given = readOr(ports.readProvider(named, null), fields, verify);
    const putting = ports.providers.put(given, changeOf(context, verify, revisionOf(context)));
    const added = await orConflict('provider', putting);
    return context.json(await written(context, ports, added), added.replaced ? 200 : 201);
  });

  app.openAPIRegistry.registerPath({
    ...{
      ...common,
      ...needs('provider:write'),
      method: 'patch',
      path: `${PATH}/{name}`,
      operationId: 'updateProvider',
    },
    summary: 'Change a provider that was given through this API',
    description:
      'In force for the next request; a server that stays the same keeps its health and its slots. Who gives another address gives the key again: a key goes only where it was given for.',
    request: { params: nameParam, headers: ifMatchHeader, body: body(providerChangeSchema) },
    responses: { 200: jsonReply('Changed', writtenSchema), ...writeErrors, 404: noSuchProvider, 409: notChangeable },
  });
  app.patch(`${PATH}/:name`, ...jsonBody, async (context) => {
    const name = context.req.param('name');
    const { fields, verify } = split(await bodyOf(context));
    await requireGiven(ports, name);
    const merge = (before: GivenProvider) => readOr(ports.readProvider(fields, before), fields, verify);
    const changing = ports.providers.update(name, merge, changeOf(context, verify, revisionOf(context)));
    const changed = await orConflict('provider', changing);
    if (changed === null) throw notFound(ports, name);
    return context.json(await written(context, ports, changed), 200);
  });
}

/** `verify` says nothing of the provider. */
function split(sent: unknown): { readonly fields: unknown; readonly verify: unknown } {
  if (!isObject(sent)) return { fields: sent, verify: undefined };
  const { verify, ...fields } = sent;
  return { fields, verify };
}

/** @throws AdminError with every problem at once */
function readOr(reading: Reading<ProviderGiven>, fields: unknown, verify: unknown): ProviderGiven {
  const problems: Problem[] = reading.ok ? [] : [...reading.problems];
  const seen = {
    where: 'the request',
    name: 'verify',
    seen: shown(verify),
    seenIsJson: true,
    fix: 'leave it out',
  } as const;
  if (verify !== undefined && typeof verify !== 'boolean') {
    problems.push({ ...seen, message: 'it is of the wrong type', allowed: 'true or false' });
  } else if (verify === true && reading.ok && reading.value.kind === 'auto') {
    const message = 'a server of kind auto is looked at by itself';
    problems.push({ ...seen, message, allowed: 'false, or the kind of the server' });
  }
  if (reading.ok && problems.length === 0) return reading.value;
  throw refuseForAll(problems, WORDS.invalid, keyOf(fields));
}

function keyOf(fields: unknown): string | null {
  return isObject(fields) && typeof fields['api_key'] === 'string' ? fields['api_key'].trim() : null;
}

function otherName(name: unknown): Problem {
  const fix = 'leave it out: it is in the path';
  return {
    ...{ where: 'the request', name: 'name', seen: shown(name), seenIsJson: true },
    message: 'it is another one',
    allowed: null,
    fix,
  };
}

function changeOf(context: Context, verify: unknown, revision: number | null) {
  return { verify: verify === true, revision, origin: auditOriginOf(context), words: WORDS };
}

async function written(
  context: Context,
  ports: ProviderPorts,
  added: AddedProvider,
): Promise<z.infer<typeof writtenSchema>> {
  const provider = withEtag(context, await find(ports, added.provider.name));
  return { provider, verified: added.verified, models: added.models, warnings: [...added.warnings] };
}

function shownProviders(ports: ProviderPorts, given: readonly GivenProvider[]): ShownProvider[] {
  const byName = new Map(given.map((provider) => [provider.name, provider]));
  const bases = new Map(ports.configuredTargets().map((target) => [target.id, target]));
  return ports.targets().map((view) => ({
    ...{ view, given: byName.get(view.target.id) ?? null, base: bases.get(view.target.id) ?? null },
  }));
}

async function lookUp(ports: ProviderPorts, name: string): Promise<ShownProvider | null> {
  const all = shownProviders(ports, await ports.providers.list());
  return all.find(({ view }) => view.target.id === name) ?? null;
}

async function find(ports: ProviderPorts, name: string): Promise<ShownProvider> {
  const found = await lookUp(ports, name);
  if (found === null) throw notFound(ports, name);
  return found;
}

/** @throws AdminError when there is none of this name, or it comes from elsewhere */
async function requireGiven(ports: ProviderPorts, name: string): Promise<void> {
  const { given, view } = await find(ports, name);
  if (given !== null) return;
  const message = `"${name}" comes from the ${sourceWords(view.target.source)}: change it there, or lay another over it with POST ${PATH}. Nothing was changed.`;
  throw new AdminError(409, 'provider_not_changeable', message, { param: 'name' });
}

function notFound(ports: ProviderPorts, name: string): AdminError {
  const names = ports.targets().map(({ target }) => target.id);
  const known = names.length === 0 ? 'There is none.' : `There are: ${names.slice(0, 50).join(', ')}.`;
  const message = `There is no provider ${shown(name)}. ${known}`;
  return new AdminError(404, WORDS.notFound, message, { param: 'name' });
}

function withEtag(context: Context, provider: ShownProvider): z.infer<typeof providerSchema> {
  const shownBody = providerBody(provider);
  context.header('etag', `"${shownBody.revision}"`);
  return shownBody;
}
