import { z } from '@hono/zod-openapi';
import type { CostEstimate } from '../../core/cost.ts';
import type { PlannedStep } from '../../core/decision.ts';

const estimated = (description: string) => z.number().nullable().openapi({ description });

export const plannedStepSchema = z
  .object({
    target: z.string(),
    place: z.enum(['local', 'cloud']),
    model: z.string().openapi({ description: 'The model that this target is asked for.' }),
    seconds: estimated('Until the whole answer; the sum of the terms. Null: not estimated, as all that follows.'),
    first_token_seconds: estimated('All terms but `decode`.'),
    terms: z
      .object({
        load: z.number().openapi({ description: 'Until the model is in memory.' }),
        wait: z.number().openapi({ description: 'Until a slot is free and the prompts before it are read.' }),
        prefill: z.number().openapi({ description: 'Reading what of the prompt is not cached.' }),
        decode: z.number().openapi({ description: 'Writing the answer that is expected.' }),
        network: z.number().openapi({ description: 'What every request takes besides.' }),
      })
      .nullable()
      .openapi({ description: 'Seconds.' }),
    cached_tokens_estimate: z.number().int().nullable(),
    price_usd: estimated('Null: no price is known. Local answers: 0.'),
    measured: z
      .boolean()
      .openapi({ description: "False: nothing was measured here yet; the fleet's median stands in." }),
    waits: z.boolean().openapi({ description: 'It waits in the queue for a slot there.' }),
    reason: z.string(),
  })
  .openapi('PlannedStep');

export const leftOutSchema = z.object({ target: z.string(), reason: z.string() }).openapi('LeftOut');

export function plannedStepBody(step: PlannedStep): z.infer<typeof plannedStepSchema> {
  const { targetId, place, model, waits, reason, estimate } = step;
  return { target: targetId, place, model, ...estimateBody(estimate), waits, reason };
}

function estimateBody(estimate: CostEstimate | null) {
  if (estimate === null) return NOT_ESTIMATED;
  const { terms, cachedTokens, priceNanoUsd } = estimate;
  return {
    seconds: seconds(estimate.seconds),
    first_token_seconds: seconds(estimate.firstTokenSeconds),
    terms: {
      load: seconds(terms.load),
      wait: seconds(terms.wait),
      prefill: seconds(terms.prefill),
      decode: seconds(terms.decode),
      network: seconds(terms.network),
    },
    cached_tokens_estimate: Math.round(cachedTokens),
    price_usd: priceNanoUsd === null ? null : Math.round(priceNanoUsd) / 1e9,
    measured: estimate.measured,
  };
}

const NOT_ESTIMATED = {
  seconds: null,
  first_token_seconds: null,
  terms: null,
  cached_tokens_estimate: null,
  price_usd: null,
  measured: false,
};

const seconds = (value: number): number => Math.round(value * 10_000) / 10_000;
