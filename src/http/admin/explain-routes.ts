import { type OpenAPIHono, z } from '@hono/zod-openapi';
import { OPERATOR } from '../../core/caller.ts';
import type { NoRoute, PlanStep } from '../../core/plan.ts';
import type { InferenceRequest } from '../../core/request.ts';
import type { PlanResult } from '../../router/plan.ts';
import { type ChatRequestReading, readChatRequest } from '../openai/read-chat-request.ts';
import { requestId } from '../request-id.ts';
import { chatRequest, routingHeaders } from './openapi-data-plane.ts';
import { requestOriginOf } from './origin.ts';
import { needs } from './permission.ts';
import { leftOutSchema, plannedStepBody, plannedStepSchema } from './planned-step.ts';
import { errorReplies, errorSchema, jsonReply } from './schemas.ts';

export interface ExplainPorts {
  /** The plan for this request at this moment. Sends nothing, changes nothing. */
  explain(request: InferenceRequest): Promise<PlanResult>;
  /** How requests that name no route are planned. */
  strategy(): string;
  readonly chatRequests: ChatRequestReading;
}

const PATH = '/admin/explain';

const explainedSchema = z
  .object({
    model: z.string().nullable().openapi({ description: 'As asked; null: none was named.' }),
    strategy: z.string(),
    prompt_tokens_estimate: z.number().int().nullable(),
    steps: z.array(plannedStepSchema).openapi({ description: 'In the order in which they would be tried.' }),
    left_out: z.array(leftOutSchema),
    no_route: z
      .object({ status: z.number().int(), code: z.string(), message: z.string() })
      .optional()
      .openapi({ description: 'Nobody could serve it now: what the client would be told.' }),
  })
  .openapi('Explanation');

type Explanation = z.infer<typeof explainedSchema>;

/**
 * Registered by hand: the body is read and judged by the reader of /v1/chat/completions, so that both refuse the same
 * in the same words.
 */
export function addExplainRoute(app: OpenAPIHono, ports: ExplainPorts): void {
  app.openAPIRegistry.registerPath({
    method: 'post',
    path: PATH,
    operationId: 'explain',
    tags: ['Administration'],
    summary: 'Where a chat request would go now, why, and at what cost, without sending it',
    ...needs('route:explain'),
    request: {
      headers: routingHeaders,
      body: { required: true, content: { 'application/json': { schema: chatRequest } } },
    },
    responses: {
      200: jsonReply('The plan; with `no_route` when nobody could serve it', explainedSchema),
      400: jsonReply('The request is wrong, as on /v1/chat/completions', errorSchema),
      401: errorReplies.unauthorized,
      413: jsonReply('The body is too large', errorSchema),
      415: jsonReply('The body is not JSON', errorSchema),
    },
  });
  app.post(PATH, async (context) => {
    const { raw } = context.req;
    const request = await readChatRequest(
      raw,
      requestId(raw.headers),
      OPERATOR,
      () => requestOriginOf(context),
      ports.chatRequests,
    );
    return context.json(explanation(request, await ports.explain(request), ports.strategy()));
  });
}

function explanation(request: InferenceRequest, result: PlanResult, usualStrategy: string): Explanation {
  const { leftOut } = 'plan' in result ? result.plan : result.noRoute;
  return {
    model: request.requestedModel === '' ? null : request.requestedModel,
    strategy: request.fence.route?.strategy ?? usualStrategy,
    prompt_tokens_estimate: 'plan' in result ? result.plan.promptTokens : null,
    steps: 'plan' in result ? result.plan.steps.map(stepBody) : [],
    left_out: leftOut.map(({ targetId, reason }) => ({ target: targetId, reason })),
    ...('noRoute' in result ? { no_route: noRouteBody(result.noRoute) } : {}),
  };
}

function stepBody({ target, model, waits, reason, estimate }: PlanStep): Explanation['steps'][number] {
  return plannedStepBody({ targetId: target.id, place: target.place, model, waits, reason, estimate });
}

function noRouteBody({ status, code, message }: NoRoute): Explanation['no_route'] {
  return { status, code, message };
}
