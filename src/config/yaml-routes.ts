import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';
import { readValue } from './read-value.ts';
import type { SecretPlaces } from './secret-reference.ts';
import { choice, integer, type Kind, text } from './setting-kinds.ts';
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
  max_first_token_ms: { kind: integer(1, 3_600_000, 'ms'), doc: 'Its own SWARMROUTER_MAX_FIRST_TOKEN_MS.' },
} as const;

export const ROUTE_FIELD_NAMES: ReadonlySet<string> = new Set(Object.keys(ROUTE_FIELDS));

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Reads one entry; what is wrong with it goes into `problems`. */
export function readRoute(
  section: YamlRouteSection,
  label: string,
  places: SecretPlaces,
  strategies: readonly string[],
  problems: Problem[],
): RouteSpec {
  const path = `routes.${section.name}`;
  const where = `${label} line ${section.line}`;
  const report = (name: string, seen: string, message: string, allowed: string, fix: string): void => {
    problems.push({ where, name, seen, message, allowed, fix });
  };
  const names = 'lower-case letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit';
  if (!NAME.test(section.name)) report(path, section.name, 'it is not a route name', names, 'choose another name');
  else if (strategies.includes(section.name)) {
    report(path, section.name, 'a strategy has this name already', names, 'choose another name');
  }
  const read = <T>(name: keyof typeof ROUTE_FIELDS, kind: Kind<T>): T | null => {
    const entry = section.entries.find(({ key }) => key === name);
    if (entry === undefined || entry.value === null || entry.value.length === 0) return null;
    const given = { value: entry.value, name: `${path}.${name}`, where: `${label} line ${entry.line}` };
    return readValue(kind, given, places, problems)?.value ?? null;
  };
  const strategy = read('strategy', ROUTE_FIELDS.strategy.kind);
  if (strategy !== null && !strategies.includes(strategy)) {
    const near = nearestName(strategy, strategies) ?? strategies[0] ?? '';
    const allowed = `one of ${strategies.join(', ')}`;
    report(`${path}.strategy`, strategy, 'there is no such strategy', allowed, `did you mean ${near}`);
  }
  return {
    name: section.name,
    strategy,
    stream_recovery: read('stream_recovery', ROUTE_FIELDS.stream_recovery.kind),
    max_first_token_ms: read('max_first_token_ms', ROUTE_FIELDS.max_first_token_ms.kind),
  };
}
