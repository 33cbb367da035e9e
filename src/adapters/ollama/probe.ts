import { countOf, isObject, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import {
  type ModelCapabilities,
  type ModelInfo,
  type ModelKind,
  NOTHING_SAID,
  type Target,
  type TargetSnapshot,
} from '../../core/target.ts';
import { itemsOf, modelInfoOf, modelNameOf, snapshotOf } from '../listing.ts';
import { kindByName } from '../model-kind.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';
import { withCapabilities } from './capabilities.ts';
import { setContexts } from './set-context.ts';

/** Pulled models from `/api/tags`, those in memory from `/api/ps`; both are Ollama's own paths, so they also identify it. */
export async function probeOllama(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const ask = async (path: string): Promise<unknown> =>
    (await probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), signal)).json;
  const tags = itemsOf(objectOf(await ask('/api/tags'))['models'], target, "Ollama's list of models");
  const [running, version] = await Promise.all([ask('/api/ps'), ask('/api/version').catch(absent)]);
  const contexts = new Map<string, number | null>();
  for (const item of itemsOf(objectOf(running)['models'], target, "Ollama's list of running models").items) {
    const name = nameOf(item);
    if (name !== null) contexts.set(name, countOf(item['context_length'], 1));
  }
  const set = await setContexts(tags.items, contexts, target, signal, tools);
  const shown = await withCapabilities(tags.items, target, signal, tools);
  const models = shown.map((item) => modelOf(item, contexts, set)).filter((model) => model !== null);
  return snapshotOf({ models, version: modelNameOf(objectOf(version)['version']), ...tags.extent });
}

function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}

function nameOf(item: JsonObject): string | null {
  return modelNameOf(item['model']) ?? modelNameOf(item['name']);
}

/** Null for models that Ollama only passes on to its cloud: what is sent there leaves this machine. */
function modelOf(
  item: JsonObject,
  running: ReadonlyMap<string, number | null>,
  set: ReadonlyMap<string, number>,
): ModelInfo | null {
  const id = nameOf(item);
  if (id === null || textOf(item['remote_host']) !== null || textOf(item['remote_model']) !== null) return null;
  return modelInfoOf({
    id,
    // `llama3.2` and `llama3.2:latest` are one model.
    alsoKnownAs: id.endsWith(':latest') ? [id.slice(0, -':latest'.length)] : [],
    kind: kindOf(item, id),
    state: running.has(id) ? 'loaded' : 'on-disk',
    contextLength: running.get(id) ?? set.get(id) ?? null,
    capabilities: capabilitiesOf(item),
    quantization: modelNameOf(objectOf(item['details'])['quantization_level']),
    sizeBytes: countOf(item['size'], 1),
  });
}

/** Older versions do not list them: see capabilities.ts. */
function capabilitiesOf(item: JsonObject): ModelCapabilities {
  const listed = listOf(item['capabilities']);
  if (listed.length === 0) return NOTHING_SAID.capabilities;
  return {
    vision: listed.includes('vision'),
    tools: listed.includes('tools'),
    reasoning: listed.includes('thinking'),
    jsonSchema: null,
  };
}

function kindOf(item: JsonObject, id: string): ModelKind {
  const capabilities = listOf(item['capabilities']);
  if (capabilities.includes('completion')) return 'chat';
  if (capabilities.includes('embedding')) return 'embedding';
  const { family } = isObject(item['details']) ? item['details'] : { family: null };
  if (typeof family === 'string' && /bert/.test(family)) return 'embedding';
  return kindByName(id);
}
