import { ANYTHING, type ClientKey } from '../../core/client-key.ts';
import { isObject } from '../../core/json-shape.ts';
import { type Limits, NO_LIMITS } from '../../core/limits.ts';
import type { Place } from '../../core/target.ts';
import { TENANT_ID, TENANT_ID_ALLOWED } from '../../core/tenants.ts';
import { BodyReader, readBudget, unknownField } from './budget-body.ts';
import { type Problem, shown } from './problems.ts';

/** What a body says of a key; absent: nothing. */
export type KeyFieldsGiven = {
  -readonly [Name in 'name' | 'projectId' | 'owner' | 'expiresAtMs' | 'budgets' | 'metadata']?: ClientKey[Name];
} & {
  /** Those that are given. */
  limits?: Partial<Limits>;
  models?: readonly string[] | null;
  places?: readonly Place[] | null;
  routes?: readonly string[] | null;
};

export interface KeyBodyReading {
  readonly fields: KeyFieldsGiven;
  readonly problems: readonly Problem[];
}

const MOST_NAMES = 1_000;
const MOST_METADATA = 32;
const MOST_BUDGETS = 8;
const PLACES: readonly Place[] = ['local', 'cloud'];

class Reader extends BodyReader {
  readonly fields: KeyFieldsGiven = {};
}

type Read = (reader: Reader, value: unknown) => void;

/** By the name in the body. `routes`: names that exist. */
function readers(routes: readonly string[], nowMs: number): Readonly<Record<string, Read>> {
  return {
    name: (reader, value) => {
      if (isText(value, 100)) reader.fields.name = value.trim();
      else reader.problem('name', value, 'text of 1 to 100 characters');
    },
    project: (reader, value) => {
      if (typeof value === 'string' && TENANT_ID.test(value)) reader.fields.projectId = value;
      else reader.problem('project', value, TENANT_ID_ALLOWED);
    },
    owner: (reader, value) => {
      if (value === null || isText(value, 200)) reader.fields.owner = value === null ? null : value.trim();
      else reader.problem('owner', value, 'text of 1 to 200 characters, or null');
    },
    allowed_models: (reader, value) => {
      const allowed = `a list of at most ${MOST_NAMES} model names, such as ["qwen*"], or null for any`;
      if (isNames(value)) reader.fields.models = value;
      else reader.problem('allowed_models', value, allowed);
    },
    allowed_places: (reader, value) => {
      if (isListOf(value, PLACES)) reader.fields.places = value as readonly Place[] | null;
      else reader.problem('allowed_places', value, '["local"], ["cloud"], ["local", "cloud"], or null for any');
    },
    allowed_routes: (reader, value) => {
      if (isListOf(value, routes)) reader.fields.routes = value as readonly string[] | null;
      else reader.problem('allowed_routes', value, `a list of routes (${routes.join(', ')}), or null for any`);
    },
    limits: readLimits,
    budget: readBudgets,
    expires_at: (reader, value) => {
      const ms = typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : Number.NaN;
      if (value === null) reader.fields.expiresAtMs = null;
      else if (ms > nowMs) reader.fields.expiresAtMs = ms;
      else reader.problem('expires_at', value, 'a time to come such as 2030-01-31T12:00:00Z, or null for never');
    },
    metadata: (reader, value) => {
      if (isMetadata(value)) reader.fields.metadata = value;
      else reader.problem('metadata', value, `an object of at most ${MOST_METADATA} texts`);
    },
  };
}

/**
 * The body of a new key, or of a change. Pure; reports every problem at once.
 * @param required Fields that must be there.
 */
export function readKeyBody(
  body: unknown,
  { routes, nowMs, required }: { routes: readonly string[]; nowMs: number; required: readonly string[] },
): KeyBodyReading {
  const reader = new Reader();
  if (!isObject(body)) {
    reader.problem('body', body, 'one JSON object');
    return reader;
  }
  const known = readers(routes, nowMs);
  const names = Object.keys(known);
  for (const name of required) if (body[name] === undefined) known[name]?.(reader, undefined);
  for (const [name, value] of Object.entries(body)) {
    const read = Object.hasOwn(known, name) ? known[name] : undefined;
    if (read === undefined) reader.problems.push(unknownField(name, names));
    else read(reader, value);
  }
  return reader;
}

/** The limits of a key once the body's part of them is in place of what was there. */
export function limitsWith(before: Limits, { limits }: KeyFieldsGiven): Limits {
  return { ...before, ...limits };
}

/** What a key may use once the body's part of it is in place of what was there. */
export function policiesWith(before: ClientKey['policies'] | null, given: KeyFieldsGiven): ClientKey['policies'] {
  const { models, places, routes } = before ?? ANYTHING;
  return {
    models: given.models === undefined ? models : given.models,
    places: given.places === undefined ? places : given.places,
    routes: given.routes === undefined ? routes : given.routes,
  };
}

const LIMIT_NAMES = ['rpm', 'tpm', 'concurrent'] as const;

function readLimits(reader: Reader, value: unknown): void {
  if (value === null) {
    reader.fields.limits = NO_LIMITS;
    return;
  }
  if (!isObject(value)) {
    reader.problem('limits', value, 'an object with rpm, tpm and concurrent, or null');
    return;
  }
  const limits: Record<string, number | null> = {};
  for (const [name, limit] of Object.entries(value)) {
    if (!(LIMIT_NAMES as readonly string[]).includes(name)) {
      reader.problems.push({ ...unknownField(name, LIMIT_NAMES), field: `limits.${shown(name)}` });
    } else if (limit === null || (Number.isSafeInteger(limit) && (limit as number) >= 0)) {
      limits[name] = limit as number | null;
    } else reader.problem(`limits.${name}`, limit, 'a whole number from 0 on, or null for no limit');
  }
  reader.fields.limits = limits;
}

function readBudgets(reader: Reader, value: unknown): void {
  const list = value === null ? [] : Array.isArray(value) ? value : [value];
  if (list.length > MOST_BUDGETS) {
    reader.problem('budget', value, `at most ${MOST_BUDGETS} budgets`);
    return;
  }
  const budgets = list.flatMap((each, at) => {
    const budget = readBudget(reader, each, Array.isArray(value) ? `budget.${at}` : 'budget');
    return budget === null ? [] : [budget];
  });
  const names = budgets.map(({ unit, window }) => `${unit}/${window}`);
  if (new Set(names).size < names.length) {
    reader.problem('budget', value, 'at most one budget of each unit (limit_usd, limit_tokens) and window');
  }
  reader.fields.budgets = budgets;
}

/** Control characters would garble tables and logs. */
const GARBLES = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

function isText(value: unknown, atMost: number): value is string {
  return typeof value === 'string' && value.trim() !== '' && value.length <= atMost && !GARBLES.test(value);
}

function isNames(value: unknown): value is readonly string[] | null {
  return (
    value === null || (Array.isArray(value) && value.length <= MOST_NAMES && value.every((each) => isText(each, 512)))
  );
}

function isListOf(value: unknown, allowed: readonly string[]): boolean {
  return value === null || (Array.isArray(value) && value.every((each) => allowed.includes(each)));
}

function isMetadata(value: unknown): value is Readonly<Record<string, string>> {
  if (!isObject(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= MOST_METADATA && entries.every(([name, text]) => isText(name, 64) && isText(text, 512));
}
