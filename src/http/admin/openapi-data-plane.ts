import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { MAX_FIRST_TOKEN_LIMIT_MS } from '../../core/route.ts';
import { ADMIN_SECURITY, errorSchema, jsonReply } from './schemas.ts';

type Registry = OpenAPIHono['openAPIRegistry'];

/** A client key, or none. */
const CLIENT_SECURITY: Record<string, string[]>[] = [{ clientKey: [] }, {}];

export const chatRequest = z
  .looseObject({
    model: z.string().optional().openapi({
      description: 'A model, `auto`, or a model pinned to a provider such as `lmstudio/qwen2.5-7b-instruct`.',
      example: 'auto',
    }),
    messages: z
      .array(
        z.looseObject({
          role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
          content: z
            .union([z.string(), z.array(z.looseObject({ type: z.string() }))])
            .nullable()
            .optional(),
        }),
      )
      .min(1)
      .openapi({ example: [{ role: 'user', content: 'Say hello.' }] }),
    stream: z.boolean().optional(),
    stream_options: z.looseObject({ include_usage: z.boolean().optional() }).optional(),
    max_tokens: z.number().int().optional(),
    temperature: z.number().optional(),
  })
  .openapi('ChatCompletionRequest', { description: 'Fields that are not named here pass through untouched.' });

const chatReply = z
  .looseObject({
    id: z.string(),
    object: z.literal('chat.completion'),
    created: z.number().int(),
    model: z.string().openapi({ description: 'The model that answered.' }),
    choices: z.array(
      z.looseObject({
        index: z.number().int(),
        message: z.looseObject({ role: z.string(), content: z.string().nullable() }),
        finish_reason: z.string().nullable(),
      }),
    ),
    usage: z
      .looseObject({
        prompt_tokens: z.number().int(),
        completion_tokens: z.number().int(),
        total_tokens: z.number().int(),
      })
      .optional(),
  })
  .openapi('ChatCompletion');

const listedModel = z
  .looseObject({ id: z.string(), object: z.literal('model'), created: z.number().int(), owned_by: z.string() })
  .openapi('ListedModel');

export const routingHeaders = z.object({
  'x-swarmrouter-place': z.enum(['local', 'cloud']).optional().openapi({
    description: 'A hard fence: no target of the other place sees the request.',
  }),
  'x-swarmrouter-strict-model': z.enum(['true', 'false']).optional().openapi({
    description: '`true`: only the model asked for may answer, no stand-in.',
  }),
  'x-swarmrouter-route': z.string().optional().openapi({ description: 'A route or strategy by name.' }),
  'x-swarmrouter-max-first-token-ms': z.string().optional().openapi({
    description: 'How long the first token may take locally before the cloud is worth its price, whole milliseconds.',
    type: 'integer',
    minimum: 1,
    maximum: MAX_FIRST_TOKEN_LIMIT_MS,
    example: 2_000,
  }),
  'x-session-id': z
    .string()
    .optional()
    .openapi({ description: 'Requests of one session are kept together where their prompt is cached.' }),
  'x-request-id': z.string().optional(),
});

const replyHeaders = Object.fromEntries(
  [
    ['x-request-id', 'Id of the request'],
    ['x-swarmrouter-target', 'Id of the target that answered'],
    ['x-swarmrouter-provider', 'Kind of that target'],
    ['x-swarmrouter-place', 'local or cloud'],
    ['x-swarmrouter-model', 'The model that answered'],
    ['x-swarmrouter-attempts', 'Upstream calls made'],
    ['x-swarmrouter-reason', 'Why this target'],
    [
      'x-swarmrouter-prompt-cut',
      'true: the server read only a part of the prompt, and nobody else could; of whole replies only',
    ],
    [
      'x-swarmrouter-answer-limit',
      'Tokens: the limit of the answer that a hard budget set, because the request sets none',
    ],
    [
      'x-swarmrouter-dropped-fields',
      'Names of fields that were not sent on, because of the client key or a hard budget, joined by commas',
    ],
  ].map(([name, description]) => [name, { description, schema: { type: 'string' as const } }]),
);

/** Describes the endpoints that `http/server.ts` answers itself, without any framework. */
export function documentDataPlane(registry: Registry): void {
  documentChat(registry);
  documentModels(registry);
  documentOperation(registry);
}

/** The admin key, once clients need keys. */
const OPERATOR_SECURITY: Record<string, string[]>[] = [...ADMIN_SECURITY, {}];
const NO_ADMIN_KEY = jsonReply('The admin key is needed, once clients need keys', errorSchema);
const NO_CLIENT_KEY = jsonReply('A client key is needed, or the one that came opens nothing', errorSchema);

function documentChat(registry: Registry): void {
  const error = (description: string) => jsonReply(description, errorSchema);
  registry.registerPath({
    method: 'post',
    path: '/v1/chat/completions',
    operationId: 'createChatCompletion',
    tags: ['Inference'],
    summary: 'Answer a conversation, whole or as a stream',
    security: CLIENT_SECURITY,
    request: {
      headers: routingHeaders,
      body: { required: true, content: { 'application/json': { schema: chatRequest } } },
    },
    responses: {
      200: {
        description: 'The reply; with `"stream": true` server-sent events that end with `data: [DONE]`',
        headers: replyHeaders,
        content: { 'application/json': { schema: chatReply }, 'text/event-stream': { schema: { type: 'string' } } },
      },
      400: error('The request is wrong; the message names the field and the fix'),
      401: NO_CLIENT_KEY,
      403: error(
        'The key may not have this model, place or route (model_not_allowed, place_not_allowed, route_not_allowed)',
      ),
      404: error('Nobody has the model'),
      408: error('The body came too slowly'),
      413: error('The body is too large'),
      415: error('The body is not JSON'),
      429: error(
        'A limit or a budget of the key, or one that it shares, is used up (rate_limit_exceeded, insufficient_quota), every suitable target is overloaded (rate_limit_exceeded), or too many bodies come slowly at once (too_many_slow_bodies). Retry-After says when to ask again, where that is known',
      ),
      502: error('Every attempt failed'),
      503: error(
        'No target can be reached, the gateway is overloaded (gateway_overloaded), or a hard budget applies and its store does not answer (ledger_unavailable)',
      ),
      504: error('No reply in time'),
      508: error('The request came through this gateway before (loop_detected)'),
    },
  });
}

function documentModels(registry: Registry): void {
  const common = { method: 'get' as const, tags: ['Inference'], security: CLIENT_SECURITY };
  registry.registerPath({
    ...common,
    path: '/v1/models',
    operationId: 'listModels',
    summary: 'The models of all targets',
    responses: {
      200: jsonReply(
        'Never fails because one target is down',
        z.object({ object: z.literal('list'), data: z.array(listedModel) }),
      ),
      401: NO_CLIENT_KEY,
    },
  });
  registry.registerPath({
    ...common,
    path: '/v1/models/{id}',
    operationId: 'getModel',
    summary: 'One model; its id may hold slashes',
    request: { params: z.object({ id: z.string() }) },
    responses: {
      200: jsonReply('The model', listedModel),
      401: NO_CLIENT_KEY,
      404: jsonReply('Nobody has it', errorSchema),
    },
  });
}

function documentOperation(registry: Registry): void {
  const health = z
    .looseObject({
      status: z.enum(['healthy', 'degraded', 'unavailable']),
      version: z.string(),
    })
    .openapi('Health');
  const text = (description: string) => ({
    description,
    content: { 'text/plain': { schema: { type: 'string' as const } } },
  });
  const entries = [
    [
      '/health',
      'getHealth',
      'Is the process able to serve?',
      jsonReply('It is; the status tells of the targets', health),
    ],
    ['/ready', 'getReadiness', 'Should traffic be sent here?', jsonReply('Yes', z.looseObject({}))],
    ['/', 'getService', 'Name, version and links', jsonReply('The service', z.looseObject({}))],
    ['/metrics', 'getMetrics', 'Metrics in the Prometheus text format', text('The metrics')],
  ] as const;
  for (const [path, operationId, summary, reply] of entries) {
    registry.registerPath({
      method: 'get',
      path,
      operationId,
      tags: ['Operation'],
      summary,
      security: path === '/metrics' ? OPERATOR_SECURITY : [],
      responses: {
        200: reply,
        ...(path === '/ready' && { 503: { description: 'Not now' } }),
        ...(path === '/metrics' && { 401: NO_ADMIN_KEY }),
      },
    });
  }
}
