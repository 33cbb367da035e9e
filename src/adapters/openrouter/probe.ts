import { scaledDecimal } from '../../core/decimal.ts';
import { countOf, type JsonObject, listOf, objectOf } from '../../core/json-shape.ts';
import { type Price, tokenPrice } from '../../core/price.ts';
import type { ModelCapabilities, ModelInfo, Target, TargetSnapshot } from '../../core/target.ts';
import { modelInfoOf, modelItems, modelNameOf, snapshotOf } from '../listing.ts';
import { kindByName } from '../model-kind.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { baseOf } from '../urls.ts';

/** OpenRouter's own router over all models. */
const AUTO = 'openrouter/auto';

/** `/models` answers anybody, so the key is tried on `/key`, which is free as well. */
export async function probeOpenRouter(
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
  headers: Record<string, string>,
): Promise<TargetSnapshot> {
  const ask = async (path: string): Promise<unknown> =>
    (await probeGet(tools, target, `${baseOf(target)}${path}`, headers, signal)).json;
  const [listing] = await Promise.all([ask('/models'), ask('/key').catch(absent)]);
  const { items, extent } = modelItems(listing, target);
  const models = items.map(modelOf).filter((model) => model !== null);
  if (!models.some(({ id }) => id === AUTO)) models.push(chatModel(AUTO, null));
  return snapshotOf({ models, ...extent });
}

/** A proxy in front of OpenRouter may not know the path. */
function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}

function modelOf(item: JsonObject): ModelInfo | null {
  const id = modelNameOf(item['id']);
  if (id === null) return null;
  const outputs = listOf(objectOf(item['architecture'])['output_modalities']);
  const kind = outputs.length > 0 && !outputs.includes('text') ? 'other' : kindByName(id);
  return {
    ...chatModel(id, countOf(item['context_length'], 1)),
    kind,
    capabilities: capabilitiesOf(item),
    price: priceOf(objectOf(item['pricing'])),
  };
}

function capabilitiesOf(item: JsonObject): ModelCapabilities {
  const inputs = listOf(objectOf(item['architecture'])['input_modalities']);
  const parameters = listOf(item['supported_parameters']);
  return {
    vision: inputs.length === 0 ? null : inputs.includes('image'),
    tools: parameters.length === 0 ? null : parameters.includes('tools'),
    reasoning: parameters.length === 0 ? null : parameters.includes('reasoning'),
    jsonSchema: parameters.length === 0 ? null : parameters.includes('structured_outputs'),
  };
}

/**
 * `pricing` is in USD a token, as text: "0.0000025"; `request` is for a call, `image` for a picture. Negative ones mean that it depends
 * (openrouter/auto). A class with a price of 0 beside a prompt that costs has none of its own.
 */
function priceOf(pricing: JsonObject): Price | null {
  const [input, output] = [femtoUsd(pricing['prompt']), femtoUsd(pricing['completion'])];
  if (input === null || output === null) return null;
  const own = (field: string): number | undefined => femtoUsd(pricing[field]) || undefined;
  const price = tokenPrice('listed', {
    input,
    output,
    cachedInput: own('input_cache_read'),
    cacheWrite: own('input_cache_write'),
    audioInput: own('audio'),
    reasoning: own('internal_reasoning'),
  });
  const pictureNanoUsd = nanoUsd(pricing['image']);
  const callNanoUsd = nanoUsd(pricing['request']);
  return pictureNanoUsd === 0 ? { ...price, callNanoUsd } : { ...price, callNanoUsd, pictureNanoUsd };
}
/** 0: not said, or none. */
function nanoUsd(usd: unknown): number {
  return scaledDecimal(usd, 9)?.value ?? 0;
}

/** Null: not said, or no price. */
function femtoUsd(usd: unknown): number | null {
  return scaledDecimal(usd, 15)?.value ?? null;
}

function chatModel(id: string, contextLength: number | null): ModelInfo {
  return modelInfoOf({ id, kind: 'chat', state: 'loaded', contextLength });
}
