import { countOf, isObject, type JsonObject, objectOf } from '../../core/json-shape.ts';
import { NANO_PER_USD } from '../../core/price.ts';
import type { TokenParts, Usage } from '../../core/usage.ts';

/**
 * Reads the `usage` of a reply or chunk; null when there is none. Numbers that are no whole, non-negative
 * numbers count as 0: a lying server must not put NaN into a ledger. `cost` is OpenRouter's charge in USD; older
 * llama.cpp says in its `timings` alone how much was cached.
 */
export function readUsage(value: unknown, timings?: unknown): Usage | null {
  if (!isObject(value)) return null;
  const promptDetails = objectOf(value['prompt_tokens_details']);
  const completionDetails = objectOf(value['completion_tokens_details']);
  const reasoningTokens = countOf(completionDetails['reasoning_tokens']) ?? 0;
  const usage: Usage = {
    promptTokens: countOf(value['prompt_tokens']) ?? 0,
    completionTokens: completionOf(value, reasoningTokens),
    cachedTokens: cachedOf(value, promptDetails) ?? countOf(objectOf(timings)['cache_n']),
    reasoningTokens,
    costNanoUsd: chargeOf(value),
  };
  const parts = partsOf(promptDetails, completionDetails);
  return parts === null ? usage : { ...usage, parts };
}

/** xAI counts reasoning beside the answer's tokens, not among them; its total tells. */
function completionOf(value: JsonObject, reasoningTokens: number): number {
  const completion = countOf(value['completion_tokens']) ?? 0;
  const prompt = countOf(value['prompt_tokens']) ?? 0;
  const isBeside = reasoningTokens > 0 && value['total_tokens'] === prompt + completion + reasoningTokens;
  return isBeside ? completion + reasoningTokens : completion;
}

/** DeepSeek and what is built after it say it under a name of their own. */
function cachedOf(value: JsonObject, promptDetails: JsonObject): number | null {
  return countOf(promptDetails['cached_tokens']) ?? countOf(value['prompt_cache_hit_tokens']);
}

/** Null: nothing but plain text, as nearly always. */
function partsOf(promptDetails: JsonObject, completionDetails: JsonObject): TokenParts | null {
  const parts = {
    cacheWriteTokens: countOf(promptDetails['cache_write_tokens']) ?? 0,
    audioInputTokens: countOf(promptDetails['audio_tokens']) ?? 0,
    imageInputTokens: countOf(promptDetails['image_tokens']) ?? 0,
    audioOutputTokens: countOf(completionDetails['audio_tokens']) ?? 0,
    imageOutputTokens: countOf(completionDetails['image_tokens']) ?? 0,
  };
  const isPlain =
    parts.cacheWriteTokens + parts.audioInputTokens + parts.imageInputTokens === 0 &&
    parts.audioOutputTokens + parts.imageOutputTokens === 0;
  return isPlain ? null : parts;
}

/** With a key of the customer's own at the model's maker, OpenRouter's `cost` is its fee alone. */
function chargeOf(value: JsonObject): number | null {
  const charge = nanoUsdOf(value['cost']);
  if (charge === null || value['is_byok'] !== true) return charge;
  return charge + (nanoUsdOf(objectOf(value['cost_details'])['upstream_inference_cost']) ?? 0);
}

function nanoUsdOf(cost: unknown): number | null {
  if (typeof cost !== 'number' || !Number.isFinite(cost) || cost < 0) return null;
  const nano = Math.round(cost * NANO_PER_USD);
  return Number.isSafeInteger(nano) ? nano : null;
}
