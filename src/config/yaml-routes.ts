import type { Problem } from '../core/problem.ts';
import { MAX_FIRST_TOKEN_LIMIT_MS } from '../core/route.ts';
import { isName, NAMES, strategyFault } from './names.ts';
import { type FieldPlace, fieldReader, placeIn } from './read-field.ts';
import type { SecretPlaces } from './secret-reference.ts';
import { choice, integer, text } from './setting-kinds.ts';
import type { YamlRouteSection } from './yaml-file.ts';

/** One entry of `routes:`, checked. null: not given, so the gateway's own setting counts. */
export interface RouteSpec {
  readonly name: string;
  readonly strategy: string | null;
  readonly stream_recovery: 'off' | 'continue' | null;
  readonly max_first_token_ms: number | null;
}

export const STREAM_RECOVERY = choice(['off', 'continue']);

export const ROUTE_FIELDS = {
  strategy: { kind: text('the name of a routing strategy'), doc: 'Its own SWARMROUTER_STRATEGY.' },
  stream_recovery: { kind: STREAM_RECOVERY, doc: 'Its own SWARMROUTER_STREAM_RECOVERY.' },
  max_first_token_ms: {
    kind: integer(1, MAX_FIRST_TOKEN_LIMIT_MS, 'ms'),
    doc: 'Its own SWARMROUTER_MAX_FIRST_TOKEN_MS.',
  },
} as const;

export const ROUTE_FIELD_NAMES: ReadonlySet<string> = new Set(Object.keys(ROUTE_FIELDS));

/** Reads one entry of the YAML file; what is wrong with it goes into `problems`. */
export function readRoute(
  { name, entries, line }: YamlRouteSection,
  label: string,
  places: SecretPlaces,
  strategies: readonly string[],
  problems: Problem[],
): RouteSpec {
  const path = `routes.${name}`;
  const entry = { ...placeIn(entries, path, label), where: `${label} line ${line}`, path };
  return readRouteFields(name, entry, places, strategies, problems);
}

/** @param place `where`, `path`: the entry as a whole */
export function readRouteFields(
  name: string,
  place: FieldPlace & { readonly where: string; readonly path: string },
  places: SecretPlaces,
  strategies: readonly string[],
  problems: Problem[],
): RouteSpec {
  const { where, path } = place;
  const taken = strategies.includes(name) ? 'a strategy has this name already' : null;
  const fault = isName(name) ? taken : 'it is not a route name';
  if (fault !== null) {
    problems.push({ where, name: path, seen: name, message: fault, allowed: NAMES, fix: 'choose another name' });
  }
  const read = fieldReader<keyof typeof ROUTE_FIELDS>(place, places, problems);
  const strategy = read('strategy', ROUTE_FIELDS.strategy.kind);
  const unknown = strategy === null ? null : strategyFault(strategy, strategies);
  if (unknown !== null) problems.push({ where, name: place.nameOf('strategy'), seen: strategy, ...unknown });
  return {
    name,
    strategy,
    stream_recovery: read('stream_recovery', ROUTE_FIELDS.stream_recovery.kind),
    max_first_token_ms: read('max_first_token_ms', ROUTE_FIELDS.max_first_token_ms.kind),
  };
}
