import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { GivenProvider } from '../../core/given-provider.ts';
import { maskSecret } from '../../core/secret.ts';
import type { GivenProviderService, ProviderFront, RemovedProvider } from './given-providers.ts';
import { ifMatchHeader, orConflict, revisionOf } from './if-match.ts';
import { jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { type OverflowProviderBody, overflowProviderBody, toGivenProvider } from './overflow-provider-body.ts';
import { problemsOf } from './overflow-provider-problems.ts';
import { needs } from './permission.ts';
import { refuseFor } from './problems.ts';
import { changedSince, errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { sourceWords } from './source-words.ts';

const PATH = '/admin/overflow_provider';

const providerSchema = z
  .object({
    name: z.string(),
    type: z.enum(['openrouter', 'azure', 'openai-compatible']),
    key: z.string().openapi({ description: 'Masked.', example: 'sk-…9f3c' }),
    base_url: z.string().nullable().optional().openapi({ description: "Null: the provider's usual address." }),
    endpoint: z.string().optional(),
    api_version: z.string().nullable().optional(),
    deployments: z.record(z.string(), z.string()).optional(),
    default_deployment: z.string().nullable().optional(),
    default_model: z.string().nullable().optional(),
    network: z.enum(['lan', 'public']).optional(),
  })
  .openapi('OverflowProvider');

const addedSchema = z
  .object({
    provider: providerSchema,
    target: z.string().openapi({ description: 'Id of the target that it became.' }),
    verified: z.boolean().openapi({ description: 'A free call to it succeeded just now.' }),
    models: z.number().int().nullable().openapi({ description: 'Models found by the free call; null: not tried.' }),
    warnings: z.array(z.string()),
  })
  .openapi('OverflowProviderAdded');

const removedSchema = z
  .object({
    removed: z.string(),
    now_in_force: z
      .object({ target: z.string(), provider: z.string(), source: z.string() })
      .nullable()
      .openapi({ description: 'The provider of the environment or YAML that is in force again; null: none.' }),
    message: z.string(),
  })
  .openapi('OverflowProviderRemoved');

const listSchema = z.object({ providers: z.array(providerSchema) }).openapi('OverflowProviderList');

const common = { tags: ['Administration'] };
const notStored = jsonReply('It could not be stored; nothing was changed', errorSchema);

const listRoute = createRoute({
  ...common,
  method: 'get',
  path: PATH,
  ...needs('provider:read'),
  operationId: 'listOverflowProviders',
  summary: 'The overflow providers given through this API',
  responses: { 200: jsonReply('All of them, keys masked', listSchema), 401: errorReplies.unauthorized, 500: notStored },
});

const addRoute = createRoute({
  ...common,
  method: 'post',
  path: PATH,
  ...needs('provider:write'),
  operationId: 'addOverflowProvider',
  summary: 'Add or replace an overflow provider',
  description:
    'In force for the next request and kept over restarts. Stronger than the environment until it is deleted. ' +
    'Streams in flight go on untouched.',
  middleware: jsonBody,
  request: {
    headers: ifMatchHeader,
    body: { required: true, content: { 'application/json': { schema: overflowProviderBody } } },
  },
  responses: {
    200: jsonReply('Replaced an earlier one of this name', addedSchema),
    201: jsonReply('Added', addedSchema),
    400: errorReplies.badRequest,
    401: errorReplies.unauthorized,
    412: changedSince,
    413: errorReplies.tooLarge,
    415: errorReplies.notJson,
    422: jsonReply('The free call failed; nothing was changed', errorSchema),
    500: notStored,
  },
});

const removeRoute = createRoute({
  ...common,
  method: 'delete',
  path: `${PATH}/{name}`,
  ...needs('provider:write'),
  operationId: 'removeOverflowProvider',
  summary: 'Delete an overflow provider',
  request: { params: z.object({ name: z.string().openapi({ example: 'openrouter' }) }), headers: ifMatchHeader },
  responses: {
    200: jsonReply('Deleted; tells what is in force now', removedSchema),
    401: errorReplies.unauthorized,
    404: jsonReply('No overflow provider has this name', errorSchema),
    412: changedSince,
    500: notStored,
  },
});

/** A thin front to `/admin/providers`: the kinds of cloud, by the names that they have here. */
const TYPES = { openrouter: 'openrouter', 'azure-openai': 'azure', 'openai-compatible': 'openai-compatible' } as const;

const front = (type: OverflowProviderBody['type']): ProviderFront => ({
  url: type === 'azure' ? 'endpoint' : 'base_url',
  defaultModel: type === 'azure' ? 'default_deployment' : 'default_model',
  invalid: 'invalid_overflow_provider',
  notFound: 'overflow_provider_not_found',
});

export function addOverflowProviderRoutes(app: OpenAPIHono, service: GivenProviderService): void {
  app.openapi(listRoute, async (context) => {
    const providers = (await service.list()).flatMap(providerBody);
    return context.json({ providers }, 200);
  });

  app.openapi(
    addRoute,
    async (context) => {
      const body = context.req.valid('json');
      const change = { verify: body.verify, revision: revisionOf(context), origin: auditOriginOf(context) };
      const putting = service.put(toGivenProvider(body), { ...change, words: front(body.type) });
      const added = await orConflict('provider', putting);
      const [provider] = providerBody(added.provider);
      if (provider === undefined) throw new Error(`${added.provider.kind} is no kind of overflow provider`);
      context.header('etag', `"${added.provider.revision}"`);
      const reply = {
        provider,
        target: added.target.id,
        verified: added.verified,
        models: added.models,
        warnings: [...added.warnings],
      };
      return added.replaced ? context.json(reply, 200) : context.json(reply, 201);
    },
    // The schema's result no longer has the values that it refused, so the body is read again, from the cache.
    (result, context) => (result.success ? undefined : refuseBody(result.error.issues, context.req.json())),
  );

  app.openapi(removeRoute, async (context) => {
    const { name } = context.req.valid('param');
    const change = { revision: revisionOf(context), origin: auditOriginOf(context), words: front('openrouter') };
    const removed = await orConflict('provider', service.remove(name, change));
    return context.json(removedBody(removed), 200);
  });
}

async function refuseBody(issues: Parameters<typeof problemsOf>[0], body: Promise<unknown>): Promise<never> {
  throw refuseFor(problemsOf(issues, await body));
}

/** None: it is no cloud provider, and not shown here. */
function providerBody(provider: GivenProvider): z.infer<typeof providerSchema>[] {
  const { kind, name, apiKey, network, url, defaultModel, apiVersion, deployments } = provider;
  if (!Object.hasOwn(TYPES, kind)) return [];
  const type = TYPES[kind as keyof typeof TYPES];
  const common = { name, type, key: apiKey === null ? 'none' : maskSecret(apiKey.reveal()), network };
  if (type !== 'azure') return [{ ...common, base_url: url, default_model: defaultModel }];
  const azure = { api_version: apiVersion, deployments: { ...deployments }, default_deployment: defaultModel };
  return [{ ...common, endpoint: url ?? '', ...azure }];
}

function removedBody({ provider, nowInForce }: RemovedProvider): z.infer<typeof removedSchema> {
  const after =
    nowInForce === null
      ? 'nothing takes its place'
      : `${nowInForce.id} from the ${sourceWords(nowInForce.source)} is in force again`;
  return {
    removed: provider.name,
    now_in_force:
      nowInForce === null ? null : { target: nowInForce.id, provider: nowInForce.provider, source: nowInForce.source },
    message: `${provider.name} is deleted; ${after}.`,
  };
}
