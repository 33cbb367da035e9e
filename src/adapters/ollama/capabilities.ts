import { type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import type { Target } from '../../core/target.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional, mayAsk } from '../optional-path.ts';
import { probePost } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** A probe must stay a small question: the rest is asked by the next ones. */
const MOST_ASKED = 4;
const MOST_REMEMBERED = 10_000;

/** By the gateway's own tools: what was shown of a model, which its digest names for ever. */
const remembered = new WeakMap<WireTools, Map<string, readonly unknown[]>>();

/**
 * The items of `/api/tags` with what each model can do. Older versions list no capabilities there: `/api/show` tells
 * them (protocols §2), without loading the model. How much context it would get is not taken from there: that is the
 * model's maximum, and Ollama loads it with less.
 */
export async function withCapabilities(
  items: readonly JsonObject[],
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<readonly JsonObject[]> {
  const known = remembered.get(tools) ?? new Map<string, readonly unknown[]>();
  remembered.set(tools, known);
  let asked = 0;
  const shown: JsonObject[] = [];
  for (const item of items) {
    if (listOf(item['capabilities']).length > 0) {
      shown.push(item);
      continue;
    }
    const key = `${target.baseUrl} ${nameOf(item)} ${textOf(item['digest']) ?? ''}`;
    if (!known.has(key) && asked < MOST_ASKED && mayAsk(tools, target, pathOf(item))) {
      asked++;
      const reply = await show(item, target, signal, tools);
      if (reply !== null) {
        if (known.size >= MOST_REMEMBERED) known.clear();
        known.set(key, listOf(objectOf(reply.json)['capabilities']));
      }
    }
    shown.push({ ...item, capabilities: known.get(key) ?? [] });
  }
  return shown;
}

function show(item: JsonObject, target: Target, signal: AbortSignal, tools: WireTools) {
  return askOptional(tools, target, pathOf(item), signal, (_, until) =>
    probePost(tools, target, `${rootOf(target)}/api/show`, { model: nameOf(item) }, bearer(target), until),
  );
}

/** Each model's answer is missing for itself. */
function pathOf(item: JsonObject): string {
  return `/api/show ${nameOf(item)}`;
}

function nameOf(item: JsonObject): string {
  return textOf(item['model']) ?? textOf(item['name']) ?? '';
}
