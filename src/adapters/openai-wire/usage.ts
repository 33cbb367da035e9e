import { countOf, isObject, objectOf } from '../../core/json-shape.ts';
import type { Usage } from '../../core/usage.ts';

const NANO_PER_USD = 1e9;

/**
 * Reads the `usage` of a reply or chunk; null when there is none. Numbers that are no whole, non-negative
 * numbers count as 0: a lying server must not put NaN into a ledger. `cost` is OpenRouter's charge in USD; older
 * llama.cpp says in its `timings` alone how much was cached.
 */
export function readUsage(value: unknown, timings?: unknown): Usage | null {
  if (!isObject(value)) return null;
  const promptDetails = objectOf(value['prompt_tokens_details']);
  const completionDetails = objectOf(value['completion_tokens_details']);
  return {
    promptTokens: countOf(value['prompt_tokens']) ?? 0,
    completionTokens: countOf(value['completion_tokens']) ?? 0,
    cachedTokens: countOf(promptDetails['cached_tokens']) ?? countOf(objectOf(timings)['cache_n']),
    reasoningTokens: countOf(completionDetails['reasoning_tokens']) ?? 0,
    costNanoUsd: nanoUsdOf(value['cost']),
  };
}

function nanoUsdOf(cost: unknown): number | null {
  if (typeof cost !== 'number' || !Number.isFinite(cost) || cost < 0) return null;
  const nano = Math.round(cost * NANO_PER_USD);
  return Number.isSafeInteger(nano) ? nano : null;
}
