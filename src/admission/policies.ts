import type { Caller } from '../core/caller.ts';
import type { Refusal } from '../core/refusal.ts';
import type { RequestFence } from '../core/request.ts';
import type { Place } from '../core/target.ts';

/** What a request asks for that a key may forbid. */
export interface PolicyQuestion {
  /**
   * Names that mean the one model: as the client wrote it, what its alias stands for, and without a pinned provider.
   * One of them must be allowed. The first is what refusals name; empty or `auto`: any model.
   */
  readonly models: readonly [string, ...string[]];
  /** The provider or target that the name pins, in small letters; null or left out: none. */
  readonly pin?: string | null;
  /** The route that is going to be taken, by name. */
  readonly route: string;
  readonly fence: RequestFence;
}

export type PolicyAnswer =
  /** The request's fence, made as narrow as the key wants it. The router must keep to it. */
  { readonly ok: true; readonly fence: RequestFence } | { readonly ok: false; readonly refusal: Refusal };

const ANY_MODEL = 'auto';

/** May the caller have this? Pure. A list that a key carries is the whole of what it may have. */
export function applyPolicies(caller: Caller, question: PolicyQuestion): PolicyAnswer {
  const { models, places, routes } = caller.policies;
  if (models !== null && !question.models.some((name) => allowsModel(models, name, question.pin))) {
    return { ok: false, refusal: modelRefusal(caller, question.models[0], models) };
  }
  if (routes !== null && !routes.includes(question.route)) {
    return { ok: false, refusal: notAllowed(caller, 'route', question.route, routes, null) };
  }
  const { fence } = question;
  const place = narrowPlace(fence.place, places);
  if (place === undefined) {
    return { ok: false, refusal: notAllowed(caller, 'place', fence.place ?? 'any', places ?? [], null) };
  }
  // A stand-in would be a model that nobody allowed.
  const strictModel = fence.strictModel || (models !== null && !models.includes('*'));
  return place === fence.place && strictModel === fence.strictModel
    ? { ok: true, fence }
    : { ok: true, fence: { ...fence, place, strictModel } };
}

/**
 * Does a key's list of models allow this one? Case does not matter; `prefix*` stands for all that begin so.
 * @param pin what `name` may begin with and is no part of the model's name: `o*` is for models, not for all of `ollama/`
 */
export function allowsModel(allowed: readonly string[], name: string, pin: string | null = null): boolean {
  const written = name.toLowerCase();
  const pinned = pin !== null && written.startsWith(`${pin}/`) ? `${pin}/` : '';
  const model = written.slice(pinned.length) || ANY_MODEL;
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    if (!pattern.endsWith('*')) return pattern === pinned + model;
    const prefix = pattern.slice(0, -1);
    // It stands for every model, whatever letters it begins with.
    if (model === ANY_MODEL) return prefix === '' || prefix === pinned;
    return prefix === '' || (prefix.startsWith(pinned) && (pinned + model).startsWith(prefix));
  });
}

/** The place that is left; null: any; undefined: none. */
function narrowPlace(asked: Place | null, allowed: readonly Place[] | null): Place | null | undefined {
  if (allowed === null) return asked;
  if (asked !== null) return allowed.includes(asked) ? asked : undefined;
  const places = new Set(allowed);
  // There are two places in all.
  if (places.size > 1) return null;
  return allowed[0];
}

function modelRefusal(caller: Caller, asked: string, allowed: readonly string[]): Refusal {
  return notAllowed(caller, 'model', asked === '' ? ANY_MODEL : asked, allowed, 'model');
}

const CODES = { model: 'model_not_allowed', route: 'route_not_allowed', place: 'place_not_allowed' } as const;
const LONGEST_NAME = 200;
const MOST_NAMES = 20;

function notAllowed(
  caller: Caller,
  what: 'model' | 'route' | 'place',
  asked: string,
  allowed: readonly string[],
  param: string | null,
): Refusal {
  const shown = allowed.slice(0, MOST_NAMES).join(', ');
  const more = allowed.length > MOST_NAMES ? ` and ${allowed.length - MOST_NAMES} more` : '';
  const list = allowed.length === 0 ? `It may use no ${what} at all.` : `Allowed: ${shown}${more}.`;
  const message = `The API key "${caller.name}" may not use the ${what} "${asked.slice(0, LONGEST_NAME)}". ${list}`;
  return { status: 403, code: CODES[what], message, param, headers: {} };
}
