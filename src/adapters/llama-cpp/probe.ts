import { UpstreamError } from '../../core/failure.ts';
import { countOf, isObject, type JsonObject, objectOf, textOf } from '../../core/json-shape.ts';
import type { ModelInfo, ModelState, Target, TargetSnapshot } from '../../core/target.ts';
import { modelInfoOf, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** `/health` tells loading from loaded, `/props` the slots and the context, `/v1/models` the names. */
export async function probeLlamaCpp(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const ask = async (path: string): Promise<unknown> =>
    (await probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), signal)).json;
  try {
    await ask('/health');
  } catch (error) {
    if (isLoading(error)) return snapshotOf({ warming: true, listsEverything: false });
    if (!isUnknownPath(error)) throw error;
  }
  const [listing, propsReply] = await Promise.all([ask('/v1/models'), ask('/props').catch(absent)]);
  const props = objectOf(propsReply);
  const items = modelItems(listing, target);
  if (!isLlamaCpp(items, props)) {
    throw new UpstreamError(
      'malformed',
      `${target.id} does not answer like llama.cpp: is something else on that address?`,
    );
  }
  const models = items.map((item) => modelOf(item, props)).filter((model) => model !== null);
  return snapshotOf({ models, slots: countOf(props['total_slots'], 1), version: textOf(props['build_info']) });
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
  const id = textOf(item['id']);
  if (id === null) return null;
  // Only a router's items carry a status; a single model is loaded, for else the server would say 503.
  const status = objectOf(item['status']);
  if (status['failed'] === true) return null;
  const meta = objectOf(item['meta']);
  const settings = objectOf(props['default_generation_settings']);
  return modelInfoOf({
    id,
    alsoKnownAs: namesOfFile(id),
    state: isObject(item['status']) ? stateOf(status['value']) : 'loaded',
    contextLength: countOf(settings['n_ctx'], 1) ?? countOf(meta['n_ctx'], 1) ?? countOf(meta['n_ctx_train'], 1),
  });
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
