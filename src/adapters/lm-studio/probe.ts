import { UpstreamError } from '../../core/failure.ts';
import { countOf, isObject, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import type { ModelCapabilities, ModelInfo, ModelKind, Target, TargetSnapshot } from '../../core/target.ts';
import { itemsOf, listedModels, modelInfoOf, modelItems, modelNameOf, snapshotOf } from '../listing.ts';
import { kindByName } from '../model-kind.ts';
import { findError } from '../openai-wire/error-shape.ts';
import { normaliseError } from '../openai-wire/errors.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** Asks the newest listing that the server has: v1 (0.4.0) knows slots and context, v0 (0.3.6) states, OpenAI's names only. */
export async function probeLmStudio(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const ask = (path: string): Promise<unknown> => askLmStudio(path, target, signal, tools);
  const native = await ask('/api/v1/models');
  if (native !== null) return readNative(native, target);
  const older = await ask('/api/v0/models');
  if (older !== null) return readOlder(older, target);
  const openai = await ask('/v1/models');
  if (openai === null) throw notLmStudio(target);
  // Names only: whether a model is in memory is not said, and naming one that is not would load it.
  const { items, extent } = modelItems(openai, target);
  return snapshotOf({ models: listedModels(items, 'on-disk'), ...extent });
}

/** The parsed listing; null when the server does not know the path, which LM Studio says with a 200 and an error. */
async function askLmStudio(path: string, target: Target, signal: AbortSignal, tools: WireTools): Promise<unknown> {
  try {
    const { json } = await probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), signal);
    const error = findError(json);
    if (error === null) return json ?? null;
    if (/^unexpected endpoint/i.test(error.message)) return null;
    throw normaliseError({ status: null, retryAfterMs: null, body: json, where: target.id });
  } catch (error) {
    if (isUnknownPath(error)) return null;
    throw error;
  }
}

function notLmStudio(target: Target): UpstreamError {
  return new UpstreamError(
    'malformed',
    `${target.id} does not answer like LM Studio: is something else on that address?`,
  );
}

function readNative(json: unknown, target: Target): TargetSnapshot {
  const { items, extent } = itemsOf(objectOf(json)['models'], target, 'a list of models');
  const models = items.map(nativeModel).filter((model) => model !== null);
  return snapshotOf({ models, slots: sumOfSlots(models), ...extent });
}

function nativeModel(item: JsonObject): ModelInfo | null {
  const id = modelNameOf(item['key']);
  if (id === null) return null;
  const instances = listOf(item['loaded_instances']).filter(isObject);
  const configs = instances.map((instance) => objectOf(instance['config']));
  const names = [...instances.map((instance) => instance['id']), ...listOf(item['variants'])];
  const parallels = configs.map((config) => countOf(config['parallel'], 1)).filter((count) => count !== null);
  // With several instances a request may land on the one with the shortest context.
  const contexts = configs.map((config) => countOf(config['context_length'], 1)).filter((count) => count !== null);
  return modelInfoOf({
    id,
    alsoKnownAs: [...new Set(names.map(modelNameOf).filter((name) => name !== null && name !== id))] as string[],
    kind: kindOf(item['type'], id),
    state: instances.length > 0 ? 'loaded' : 'on-disk',
    contextLength: contexts.length > 0 ? Math.min(...contexts) : countOf(item['max_context_length'], 1),
    slots: parallels.length > 0 ? parallels.reduce((sum, count) => sum + count, 0) : null,
    capabilities: nativeCapabilities(item['capabilities']),
    quantization: textOf(objectOf(item['quantization'])['name']),
    sizeBytes: countOf(item['size_bytes'], 1),
  });
}

/** Not trained for tools is not unable: LM Studio then asks for them in words. */
function nativeCapabilities(value: unknown): ModelCapabilities {
  const { vision, trained_for_tool_use: tools, reasoning } = objectOf(value);
  return {
    vision: typeof vision === 'boolean' ? vision : null,
    tools: tools === true ? true : null,
    reasoning: isObject(value) ? isObject(reasoning) || reasoning === true : null,
    jsonSchema: null,
  };
}

function kindOf(type: unknown, id: string): ModelKind {
  if (type === 'llm' || type === 'vlm') return 'chat';
  if (type === 'embedding' || type === 'embeddings') return 'embedding';
  return kindByName(id);
}

/** Slots for chat over the whole server; null when no loaded model says. */
function sumOfSlots(models: readonly ModelInfo[]): number | null {
  let sum = 0;
  for (const model of models) if (model.kind === 'chat') sum += model.slots ?? 0;
  return sum === 0 ? null : sum;
}

function readOlder(json: unknown, target: Target): TargetSnapshot {
  const { items, extent } = modelItems(json, target);
  const models = items.map(olderModel).filter((model) => model !== null);
  return snapshotOf({ models, ...extent });
}

function olderModel(item: JsonObject): ModelInfo | null {
  const id = modelNameOf(item['id']);
  if (id === null) return null;
  return modelInfoOf({
    id,
    kind: kindOf(item['type'], id),
    state: item['state'] === 'loaded' ? 'loaded' : 'on-disk',
    contextLength: countOf(item['loaded_context_length'], 1) ?? countOf(item['max_context_length'], 1),
    capabilities: {
      vision: item['type'] === 'vlm' ? true : item['type'] === 'llm' ? false : null,
      tools: listOf(item['capabilities']).includes('tool_use') ? true : null,
      reasoning: null,
      jsonSchema: null,
    },
    quantization: textOf(item['quantization']),
  });
}
