import { UpstreamError } from '../core/failure.ts';
import { countOf, isObject, type JsonObject, textOf } from '../core/json-shape.ts';
import { type ModelInfo, type ModelState, NOTHING_SAID, type Target, type TargetSnapshot } from '../core/target.ts';
import { kindByName } from './model-kind.ts';

/** A server that lists more than this is lying or broken: the rest is not looked at, names in it count as unlisted, and a note says so. */
export const MAX_MODELS = 10_000;

/** Longer names are no names. */
const MOST_NAME = 512;

/** A model's name as it may go into requests, headers and terminals; null: it is none. */
export function modelNameOf(value: unknown): string | null {
  const name = textOf(value);
  return name === null || name.length > MOST_NAME || CONTROL.test(name) ? null : name;
}

const CONTROL = /\p{Cc}/u;

/** What a server listed. */
export interface Listing {
  readonly items: readonly JsonObject[];
  /** What its length means for the snapshot. */
  readonly extent: Pick<TargetSnapshot, 'listsEverything' | 'notes'>;
}

/** The items of an OpenAI model list; rejects with `malformed` when it is none. */
export function modelItems(json: unknown, target: Target): Listing {
  return itemsOf(isObject(json) ? json['data'] : undefined, target, 'a list of models');
}

export function itemsOf(list: unknown, target: Target, what: string): Listing {
  if (!Array.isArray(list)) {
    throw new UpstreamError(
      'malformed',
      `${target.id} did not answer its probe with ${what}: is something else on that address?`,
    );
  }
  const items = list.slice(0, MAX_MODELS).filter(isObject);
  return { items, extent: list.length > MAX_MODELS ? cutShort(list.length) : { listsEverything: true, notes: [] } };
}

function cutShort(listed: number): Listing['extent'] {
  const [of, kept] = [listed, MAX_MODELS].map((count) => count.toLocaleString('en-US'));
  return { listsEverything: false, notes: [`it lists ${of} models; only the first ${kept} are known here`] };
}

/** A model from an item of an OpenAI list; null when it has no id. */
export function listedModel(item: JsonObject, state: ModelState): ModelInfo | null {
  const id = modelNameOf(item['id']);
  if (id === null) return null;
  return modelInfoOf({
    id,
    state,
    contextLength: countOf(item['max_model_len'], 1) ?? countOf(item['context_length'], 1),
  });
}

/** A model of which nothing is known but what is given. */
export function modelInfoOf(
  known: Partial<ModelInfo> & { readonly id: string; readonly state: ModelState },
): ModelInfo {
  return {
    alsoKnownAs: [],
    kind: kindByName(known.id),
    ...NOTHING_SAID,
    ...known,
  };
}

export function listedModels(items: readonly JsonObject[], state: ModelState): readonly ModelInfo[] {
  return items.map((item) => listedModel(item, state)).filter((model) => model !== null);
}

/** A snapshot with the usual answers; give what is known better. */
export function snapshotOf(known: Partial<TargetSnapshot>): TargetSnapshot {
  const usual = {
    models: [],
    slots: null,
    version: null,
    warming: false,
    listsEverything: true,
    load: null,
    notes: [],
  };
  return { ...usual, ...known };
}
