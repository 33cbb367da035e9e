import { isObject, type JsonObject } from '../core/json-shape.ts';
import { nearestName } from '../core/nearest-name.ts';
import type { Problem } from '../core/problem.ts';
import type { FieldPlace } from './read-field.ts';
import type { Kind } from './setting-kinds.ts';
import type { Written, YamlEntry } from './yaml-file.ts';

/** How problems call a body of the admin API. */
export const THE_REQUEST = 'the request';
const MOST_CHARACTERS = 2_048;
const MOST_SHOWN = 80;

type Kinds = Readonly<Record<string, { readonly kind: Kind<unknown> }>>;

/**
 * The fields of a JSON body as the YAML file would hold them, so that both are read alike. JSON knows types, and is taken
 * at its word: a number in quotes is none. What is of the wrong type, or no field, goes into `problems`; null is not given.
 */
export function placeOfJson(
  body: JsonObject,
  kinds: Kinds,
  problems: Problem[],
): FieldPlace & { where: string; path: string } {
  const entries: YamlEntry[] = [];
  for (const [key, value] of Object.entries(body)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key]?.kind : undefined;
    if (kind === undefined) problems.push(unknownField(key, Object.keys(kinds)));
    else {
      const written = value === null ? null : writtenAs(kind, value);
      if (written === undefined) problems.push(wrongType(key, kind, value));
      else entries.push({ key, value: written, line: 1 });
    }
  }
  return { entries, nameOf: (field) => field, whereOf: () => THE_REQUEST, where: THE_REQUEST, path: '' };
}

/** Undefined: it is not of the type. */
function writtenAs({ type }: Kind<unknown>, value: unknown): Exclude<Written, null> | undefined {
  switch (type) {
    case 'integer':
    case 'decimal':
    case 'seconds':
      return typeof value === 'number' && Number.isFinite(value) ? plainNumber(value) : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? String(value) : undefined;
    case 'map':
      return isTexts(value) ? Object.entries(value) : undefined;
    default:
      return isText(value) ? value.trim() : undefined;
  }
}

/** As a person writes it: 1e-7 is no number of any setting. */
const plainNumber = (value: number): string =>
  value.toLocaleString('en-US', { useGrouping: false, maximumFractionDigits: 6 });

const isText = (value: unknown): value is string =>
  typeof value === 'string' && value.trim() !== '' && value.length <= MOST_CHARACTERS;

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.entries(value).every((pair) => pair.every(isText));
}

export function unknownField(name: string, known: readonly string[]): Problem {
  const near = nearestName(name, known);
  return {
    ...{ where: THE_REQUEST, name: shortened(name), seen: null, message: 'there is no such field' },
    allowed: `one of ${known.join(', ')}`,
    fix: near === null ? 'leave it out' : `did you mean ${near}`,
  };
}

function wrongType(name: string, kind: Kind<unknown>, value: unknown): Problem {
  const seen = kind.type === 'secret' ? '"…"' : shortened(JSON.stringify(value) ?? String(value));
  const allowed = ALLOWED[kind.type] ?? kind.allowed;
  const said = { message: 'it is of the wrong type', allowed, fix: `correct ${name}` };
  return { where: THE_REQUEST, name, seen, seenIsJson: true, ...said };
}

/** What differs from how the YAML file writes it. */
const ALLOWED: Readonly<Record<string, string>> = {
  boolean: 'true or false',
  map: 'an object of asked model → deployment',
  secret: 'the key itself as text, at most 2048 characters',
};

const shortened = (text: string): string => (text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text);
