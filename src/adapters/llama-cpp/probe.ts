import { UpstreamError } from '../../core/failure.ts';
import { countOf, isObject, type JsonObject, listOf, objectOf, textOf } from '../../core/json-shape.ts';
import type { ModelInfo, ModelState, ServerLoad, Target, TargetSnapshot } from '../../core/target.ts';
import { modelInfoOf, modelItems, modelNameOf, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional } from '../optional-path.ts';
import { isUnknownPath, type ProbeReply, probeGet } from '../probe-http.ts';
import { requestsOf } from '../prometheus-gauge.ts';
import { bearer, rootOf } from '../urls.ts';
import { harmlessQuestions } from './sleep.ts';

/**
 * `/health` tells loading from loaded, `/props` the slots and the context, `/v1/models` the names. None of them wakes a
 * model that sleeps (--sleep-idle-seconds), or counts as use of one that is awake.
 */
export async function probeLlamaCpp(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const get = (path: string, until = signal) =>
    probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), until);
  const ask = async (path: string): Promise<unknown> => (await get(path)).json;
  try {
    await ask('/health');
  } catch (error) {
    if (isLoading(error)) return snapshotOf({ warming: true, listsEverything: false });
    if (!isUnknownPath(error)) throw error;
  }
  const [listing, propsReply] = await Promise.all([ask('/v1/models'), ask('/props').catch(absent)]);
  const props = objectOf(propsReply);
  const { items, extent } = modelItems(listing, target);
  if (!isLlamaCpp(items, props)) {
    throw new UpstreamError(
      'malformed',
      `${target.id} does not answer like llama.cpp: is something else on that address?`,
    );
  }
  const models = items.map((item) => modelOf(item, props)).filter((model) => model !== null);
  const load = await loadOf(props, (path) => askOptional(tools, target, path, signal, get));
  const version = textOf(props['build_info']);
  return snapshotOf({ models, slots: countOf(props['total_slots'], 1), version, load, ...extent });
}

type Ask = (path: string) => Promise<ProbeReply | null>;

/** What it says of its load, as far as it may be asked without disturbing its sleep. */
async function loadOf(props: JsonObject, ask: Ask): Promise<ServerLoad | null> {
  const may = harmlessQuestions(props);
  // One after the other, so that a probe keeps no more connections than it needs.
  const counted = may.metrics ? countedIn((await ask('/metrics'))?.text ?? '') : null;
  if (counted !== null || !may.slots) return counted;
  return busyOf((await ask('/slots'))?.json);
}

/** `/metrics` counts those that wait as well, but has to be switched on. */
function countedIn(metrics: string): ServerLoad | null {
  const running = requestsOf(metrics, ['llamacpp:requests_processing']);
  const waiting = requestsOf(metrics, ['llamacpp:requests_deferred']) ?? 0;
  return running === null ? null : { running, waiting, cacheUsage: null };
}

/** `/slots` has to be switched off. */
function busyOf(slots: unknown): ServerLoad | null {
  const listed = listOf(slots).filter(isObject);
  if (listed.length === 0) return null;
  const running = listed.filter((slot) => slot['is_processing'] === true).length;
  return { running, waiting: 0, cacheUsage: null };
}

/** Its own words, so that another server's 503 is not taken for a loading model. */
function isLoading(error: unknown): boolean {
  return error instanceof UpstreamError && error.kind === 'modelLoading';
}

/** `/props` may be switched off, and a router has none. */
function absent(error: unknown): null {
  if (isUnknownPath(error) || (error instanceof UpstreamError && error.kind === 'rejected')) return null;
  throw error;
}

function isLlamaCpp(items: readonly JsonObject[], props: JsonObject): boolean {
  if (countOf(props['total_slots']) !== null || isObject(props['default_generation_settings'])) return true;
  if (props['role'] === 'router') return true;
  return items.some((item) => item['owned_by'] === 'llamacpp');
}

/** Null for a model that failed to load. */
function modelOf(item: JsonObject, props: JsonObject): ModelInfo | null {
  const id = modelNameOf(item['id']);
  if (id === null) return null;
  // Only a router's items carry a status; a single model is loaded, for else the server would say 503.
  const status = objectOf(item['status']);
  if (status['failed'] === true) return null;
  const meta = objectOf(item['meta']);
  const settings = objectOf(props['default_generation_settings']);
  return modelInfoOf({
    id,
    alsoKnownAs: namesOfFile(id),
    state: isObject(item['status']) ? stateOf(status['value']) : awakeOf(props),
    contextLength: countOf(settings['n_ctx'], 1) ?? countOf(meta['n_ctx'], 1) ?? countOf(meta['n_ctx_train'], 1),
    capabilities: { vision: visionOf(props), tools: null, reasoning: null, jsonSchema: null },
    sizeBytes: countOf(meta['size'], 1),
  });
}

/** One that sleeps has thrown its model out of memory, and loads it for the next request. */
function awakeOf(props: JsonObject): ModelState {
  return props['is_sleeping'] === true ? 'on-disk' : 'loaded';
}

function visionOf(props: JsonObject): boolean | null {
  const { vision } = objectOf(props['modalities']);
  return typeof vision === 'boolean' ? vision : null;
}

function stateOf(value: unknown): ModelState {
  if (value === 'loaded') return 'loaded';
  return value === 'loading' ? 'loading' : 'on-disk';
}

/** Started without an alias, the server names its model by the path of its file. */
function namesOfFile(id: string): readonly string[] {
  if (!id.toLowerCase().endsWith('.gguf')) return [];
  const file = id.split(/[\\/]/).at(-1) ?? id;
  const names = [file, file.slice(0, -'.gguf'.length)];
  return names.filter((name) => name !== id && name !== '');
}
