import { isObject } from '../core/json-shape.ts';
import type { Problem, Reading } from '../core/problem.ts';
import type { RouteSettings } from '../core/routing.ts';
import type { SecretPlaces } from './secret-reference.ts';
import { text } from './setting-kinds.ts';
import { placeOfJson, THE_REQUEST } from './written-json.ts';
import { ROUTE_FIELDS, readRouteFields } from './yaml-routes.ts';

const MOST_NAME = 512;
const MODEL_NAME = 'the name of a model, at most 512 characters without control characters';
const ALIAS_FIELDS = { target: { kind: text(MODEL_NAME) } } as const;
/** Nothing of a route is secret. */
const NO_PLACES: SecretPlaces = { variable: () => null, readFile: () => null };
/** What `allowed_routes` of a key calls requests that name no route. */
const NO_ROUTE = 'default';

/** What an alias stands for, from a body of the admin API. Pure. */
export function readAlias(name: string, body: unknown): Reading<string> {
  if (!isObject(body)) return noObject(body);
  const problems: Problem[] = [];
  if (!isModelName(name)) problems.push(problem('name', name, 'it is no name of a model', MODEL_NAME));
  const { entries } = placeOfJson(body, ALIAS_FIELDS, problems);
  const target = entries[0]?.value;
  if (typeof target !== 'string') {
    if (problems.every((one) => one.name !== 'target')) {
      problems.push(problem('target', null, 'it is missing', MODEL_NAME, 'add target: the model that it stands for'));
    }
    return { ok: false, problems };
  }
  if (!isModelName(target)) problems.push(problem('target', target, 'it is no name of a model', MODEL_NAME));
  if (target.toLowerCase() === name.toLowerCase()) {
    problems.push(problem('target', target, 'it stands for itself', 'another name than its own'));
  }
  return problems.length === 0 ? { ok: true, value: target } : { ok: false, problems };
}

/** A route from a body of the admin API, with the fields and checks of one of the YAML file. Pure. */
export function readGivenRoute(name: string, body: unknown, strategies: readonly string[]): Reading<RouteSettings> {
  if (!isObject(body)) return noObject(body);
  const problems: Problem[] = [];
  const place = { ...placeOfJson(body, ROUTE_FIELDS, problems), path: 'name' };
  const spec = readRouteFields(name, place, NO_PLACES, strategies, problems);
  if (name === NO_ROUTE) {
    problems.push(problem('name', name, 'it stands for requests that name no route', null, 'choose another name'));
  }
  if (problems.length > 0) return { ok: false, problems };
  const { strategy, stream_recovery: recovery, max_first_token_ms: maxFirstTokenMs } = spec;
  return {
    ok: true,
    value: { strategy, streamRecovery: recovery === null ? null : recovery === 'continue', maxFirstTokenMs },
  };
}

const isModelName = (name: string): boolean =>
  name.trim() === name && name !== '' && name.length <= MOST_NAME && !/\p{C}/u.test(name);

function noObject(body: unknown): Reading<never> {
  const seen = (JSON.stringify(body) ?? String(body)).slice(0, 80);
  return {
    ok: false,
    problems: [{ ...problem('the body', seen, 'it is no JSON object', 'one JSON object'), seenIsJson: true }],
  };
}

function problem(
  name: string,
  seen: string | null,
  message: string,
  allowed: string | null,
  fix = `correct ${name}`,
): Problem {
  return { where: THE_REQUEST, name, seen, message, allowed, fix };
}
