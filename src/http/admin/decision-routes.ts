import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import type { Decision, DecisionAttempt, DecisionLog } from '../../core/decision.ts';
import { AdminError } from './error-envelope.ts';
import { needs } from './permission.ts';
import { leftOutSchema, plannedStepBody, plannedStepSchema } from './planned-step.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';
import { wrongQuery } from './wrong-query.ts';

export interface DecisionPorts {
  readonly decisions: DecisionLog;
}

const PATH = '/admin/decisions';
const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

const milliseconds = z.number().openapi({ description: 'Milliseconds.' });
const tokens = z.number().int().nullable();

const attemptSchema = z
  .object({
    target: z.string(),
    place: z.enum(['local', 'cloud']),
    model: z.string(),
    failure: z.string().nullable().openapi({ description: 'The kind of its failure; null: it answered.' }),
    message: z.string().nullable().openapi({ description: 'What that means; the words of the server are in the log.' }),
    status: z.number().int().nullable().openapi({ description: 'Of the reply that failed it; null: none did.' }),
    queued_ms: milliseconds,
    duration_ms: milliseconds,
    first_content_ms: milliseconds.nullable(),
  })
  .openapi('Attempt');

const decisionSchema = z
  .object({
    id: z.string().openapi({ description: 'The x-request-id of the reply.' }),
    time: z.string().openapi({ description: 'When the request came.' }),
    outcome: z.enum(['served', 'cut', 'abandoned', 'exhausted', 'refused']),
    status: z.number().int().openapi({ description: 'What the client saw; 499: it went away.' }),
    code: z.string().nullable(),
    stream: z.boolean(),
    model_asked: z.string().nullable(),
    model: z.string().nullable().openapi({ description: 'The model that answered; null: none did.' }),
    target: z.string().nullable(),
    place: z.enum(['local', 'cloud']).nullable(),
    reason: z.string().nullable(),
    duration_ms: milliseconds,
    first_content_ms: milliseconds.nullable(),
    queued_ms: milliseconds,
    prompt_tokens_estimate: tokens,
    prompt_tokens: tokens.openapi({ description: 'As the server reported them.' }),
    cached_tokens_estimate: tokens,
    cached_tokens: tokens.openapi({ description: 'As the server reported them.' }),
    completion_tokens: tokens,
    prompt_cut: z.boolean().openapi({ description: 'The server answered a part of the prompt only, without a word.' }),
    steps: z.array(plannedStepSchema).openapi({ description: 'The plan when the request came, the first 32.' }),
    steps_total: z.number().int(),
    left_out: z.array(leftOutSchema).openapi({ description: 'The first 32.' }),
    left_out_total: z.number().int(),
    attempts: z
      .array(attemptSchema)
      .openapi({ description: 'The first 32; also those that were not made, as a hard budget had no room for them.' }),
    attempts_total: z.number().int(),
    calls: z.number().int().openapi({ description: 'Upstream calls that were made.' }),
  })
  .openapi('Decision');

const listSchema = z
  .object({
    capacity: z.number().int().openapi({ description: 'How many are kept; 0: none (SWARMROUTER_DECISIONS).' }),
    decisions: z.array(decisionSchema).openapi({ description: 'Newest first.' }),
  })
  .openapi('DecisionList');

const querySchema = z.strictObject({
  limit: z.coerce
    .number()
    .pipe(z.number().int().min(1).max(MAX_LIMIT))
    .default(DEFAULT_LIMIT)
    .openapi({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT }),
  target: z.string().min(1).optional().openapi({ description: 'Only those that it answered or was asked for.' }),
  model: z.string().min(1).optional().openapi({ description: 'Only those that asked for it or were answered by it.' }),
  since: z.iso.datetime({ offset: true }).optional().openapi({
    description: 'Only requests that came at this time or later.',
    example: '2026-11-23T06:00:00Z',
  }),
});

const ALLOWED: Readonly<Record<string, string>> = {
  limit: `a whole number from 1 to ${MAX_LIMIT}`,
  target: 'the id of a target',
  model: 'the name of a model',
  since: 'a time such as 2026-11-23T06:00:00Z',
};

const common = { tags: ['Administration'] };

const listRoute = createRoute({
  ...common,
  method: 'get',
  path: PATH,
  ...needs('decision:read'),
  operationId: 'listDecisions',
  summary: 'The latest routing decisions: where each request went, why, and what became of it',
  request: { query: querySchema },
  responses: {
    200: jsonReply('They hold no words of the prompts', listSchema),
    400: jsonReply('A parameter is wrong', errorSchema),
    401: errorReplies.unauthorized,
  },
});

const oneRoute = createRoute({
  ...common,
  method: 'get',
  path: `${PATH}/{id}`,
  ...needs('decision:read'),
  operationId: 'getDecision',
  summary: 'The routing decision for one request',
  request: { params: z.object({ id: z.string().openapi({ example: 'req_6f1c' }) }) },
  responses: {
    200: jsonReply('The decision', decisionSchema),
    401: errorReplies.unauthorized,
    404: jsonReply('There is none of this id, or it is not kept any more', errorSchema),
  },
});

export function addDecisionRoutes(app: OpenAPIHono, { decisions }: DecisionPorts): void {
  app.openapi(
    listRoute,
    (context) => {
      const { limit, target = null, model = null, since } = context.req.valid('query');
      const sinceWallMs = since === undefined ? null : Date.parse(since);
      const found = decisions.recent({ limit, targetId: target, model, sinceWallMs });
      return context.json({ capacity: decisions.capacity, decisions: found.map(decisionBody) }, 200);
    },
    (result, context) => {
      if (!result.success) throw wrongQuery(querySchema.shape, ALLOWED, context.req.query());
    },
  );

  app.openapi(oneRoute, (context) => {
    const { id } = context.req.valid('param');
    const decision = decisions.find(id);
    if (decision === null) throw notKept(id, decisions.capacity);
    return context.json(decisionBody(decision), 200);
  });
}

function notKept(id: string, capacity: number): AdminError {
  const why =
    capacity === 0
      ? 'Decisions are not kept here: set SWARMROUTER_DECISIONS to how many should be.'
      : `The latest ${capacity} are kept (SWARMROUTER_DECISIONS); GET ${PATH} lists them. The id is the x-request-id of the reply.`;
  return new AdminError(404, 'decision_not_found', `No decision is kept for "${id.slice(0, 128)}". ${why}`);
}

function decisionBody(decision: Decision): z.infer<typeof decisionSchema> {
  const { promptTokens, cachedTokens, steps, leftOut, attempts } = decision;
  return {
    id: decision.requestId,
    time: new Date(decision.atWallMs).toISOString(),
    outcome: decision.outcome,
    status: decision.status,
    code: decision.code,
    stream: decision.stream,
    model_asked: decision.modelAsked === '' ? null : decision.modelAsked,
    model: decision.modelAnswered,
    target: decision.targetId,
    place: decision.place,
    reason: decision.reason,
    duration_ms: rounded(decision.durationMs),
    first_content_ms: roundedOrNull(decision.firstContentMs),
    queued_ms: rounded(decision.queuedMs),
    prompt_tokens_estimate: promptTokens.estimated === null ? null : Math.round(promptTokens.estimated),
    prompt_tokens: promptTokens.reported,
    cached_tokens_estimate: cachedTokens.estimated === null ? null : Math.round(cachedTokens.estimated),
    cached_tokens: cachedTokens.reported,
    completion_tokens: decision.completionTokens,
    prompt_cut: decision.promptCut,
    steps: steps.items.map(plannedStepBody),
    steps_total: steps.total,
    left_out: leftOut.items.map(({ targetId, reason }) => ({ target: targetId, reason })),
    left_out_total: leftOut.total,
    attempts: attempts.items.map(attemptBody),
    attempts_total: attempts.total,
    calls: decision.calls,
  };
}

function attemptBody(attempt: DecisionAttempt): z.infer<typeof attemptSchema> {
  return {
    target: attempt.targetId,
    place: attempt.place,
    model: attempt.model,
    failure: attempt.failure,
    message: attempt.failureMessage,
    status: attempt.status,
    queued_ms: rounded(attempt.queuedMs),
    duration_ms: rounded(attempt.durationMs),
    first_content_ms: roundedOrNull(attempt.firstContentMs),
  };
}

const rounded = (ms: number): number => Math.round(ms * 10) / 10;
const roundedOrNull = (ms: number | null): number | null => (ms === null ? null : rounded(ms));
