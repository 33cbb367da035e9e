import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { OverflowProvider } from '../../core/overflow-provider.ts';
import { maskSecret } from '../../core/secret.ts';
import { jsonBody } from './json-body.ts';
import { auditOriginOf } from './origin.ts';
import { overflowProviderBody, toOverflowProvider } from './overflow-provider-body.ts';
import { problemsOf } from './overflow-provider-problems.ts';
import type { OverflowProviderService, RemovedProvider } from './overflow-providers.ts';
import { needs } from './permission.ts';
import { refuseFor } from './problems.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

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
  request: { body: { required: true, content: { 'application/json': { schema: overflowProviderBody } } } },
  responses: {
    200: jsonReply('Replaced an earlier one of this name', addedSchema),
    201: jsonReply('Added', addedSchema),
    400: errorReplies.badRequest,
    401: errorReplies.unauthorized,
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
  request: { params: z.object({ name: z.string().openapi({ example: 'openrouter' }) }) },
  responses: {
    200: jsonReply('Deleted; tells what is in force now', removedSchema),
    401: errorReplies.unauthorized,
    404: jsonReply('No overflow provider has this name', errorSchema),
    500: notStored,
  },
});

export function addOverflowProviderRoutes(app: OpenAPIHono, service: OverflowProviderService): void {
  app.openapi(listRoute, async (context) => {
    const providers = await service.list();
    return context.json({ providers: providers.map(providerBody) }, 200);
  });

  app.openapi(
    addRoute,
    async (context) => {
      const body = context.req.valid('json');
      const added = await service.add(toOverflowProvider(body), body.verify, auditOriginOf(context));
      const reply = {
        provider: providerBody(added.provider),
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
    const removed = await service.remove(context.req.valid('param').name, auditOriginOf(context));
    return context.json(removedBody(removed), 200);
  });
}

async function refuseBody(issues: Parameters<typeof problemsOf>[0], body: Promise<unknown>): Promise<never> {
  throw refuseFor(problemsOf(issues, await body));
}

function providerBody(provider: OverflowProvider): z.infer<typeof providerSchema> {
  const common = {
    name: provider.name,
    type: provider.type,
    key: maskSecret(provider.apiKey.reveal()),
    network: provider.network,
  };
  switch (provider.type) {
    case 'openrouter':
      return { ...common, base_url: provider.baseUrl, default_model: provider.defaultModel };
    case 'azure':
      return {
        ...common,
        endpoint: provider.endpoint,
        api_version: provider.apiVersion,
        deployments: { ...provider.deployments },
        default_deployment: provider.defaultDeployment,
      };
    case 'openai-compatible':
      return {
        ...common,
        base_url: provider.baseUrl,
        default_model: provider.defaultModel,
      };
  }
}

function removedBody({ provider, nowInForce }: RemovedProvider): z.infer<typeof removedSchema> {
  const after =
    nowInForce === null
      ? 'nothing takes its place'
      : `${nowInForce.id} from the ${nowInForce.source === 'yaml' ? 'YAML file' : nowInForce.source} is in force again`;
  return {
    removed: provider.name,
    now_in_force:
      nowInForce === null ? null : { target: nowInForce.id, provider: nowInForce.provider, source: nowInForce.source },
    message: `${provider.name} is deleted; ${after}.`,
  };
}
