import { isObject } from '../core/json-shape.ts';
import { fieldOf } from './admin-client.ts';
import { show } from './cells.ts';

/** Characters of a value; `--json` has all of it. */
const SHOWN_OF_VALUE = 60;
/** Nothing a person changed: it counts the changes. */
const OF_ITSELF: ReadonlySet<string> = new Set(['revision', 'updated_at', 'updatedAtMs']);

/**
 * What an entry changed, a field a line: `limits.rpm: 60 → 120`. What was made or ended shows the fields that were set.
 * @param body `before` and `after` of an entry, as the admin API gives them
 */
export function changesOf(body: unknown): readonly string[] {
  const before = flat(fieldOf(body, 'before'));
  const after = flat(fieldOf(body, 'after'));
  const isChange = before.size > 0 && after.size > 0;
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((name) => {
    const [was, is] = [before.get(name), after.get(name)];
    if (was === is || (isChange && OF_ITSELF.has(name))) return [];
    const label = name === '' ? '' : `${show(name)}: `;
    if (!isChange) return (is ?? was) === 'null' ? [] : [`${label}${shown(is ?? was)}`];
    return [`${label}${shown(was)} → ${shown(is)}`];
  });
}

/** Of an entry whose `before` or `after` has one: a person finds it by that, not by its id. Null: it has none. */
export function nameOf(body: unknown): string | null {
  const [after, before] = [fieldOf(body, 'after'), fieldOf(body, 'before')];
  const name = fieldOf(after, 'name') ?? fieldOf(before, 'name');
  return typeof name === 'string' && name !== '' ? show(name) : null;
}

/** By path, with dots; a list is one value. */
function flat(value: unknown, path = ''): ReadonlyMap<string, string> {
  if (value === null || value === undefined) return new Map();
  if (!isObject(value)) return new Map([[path, JSON.stringify(value)]]);
  return new Map(
    Object.entries(value).flatMap(([name, inner]): [string, string][] => {
      const at = path === '' ? name : `${path}.${name}`;
      return inner === null ? [[at, 'null']] : [...flat(inner, at)];
    }),
  );
}

function shown(json: string | undefined): string {
  if (json === undefined) return 'none';
  const text = show(json);
  return text.length > SHOWN_OF_VALUE ? `${text.slice(0, SHOWN_OF_VALUE)}…` : text;
}
