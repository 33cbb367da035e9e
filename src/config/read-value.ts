import type { Problem } from '../core/problem.ts';
import { isSecretReference, resolveSecret, type SecretPlaces } from './secret-reference.ts';
import type { Kind, Parsed } from './setting-kinds.ts';
import type { Written } from './yaml-file.ts';

/** Something a person wrote for one setting, and where. */
export interface Given {
  readonly value: Exclude<Written, null>;
  /** The name as written there: `SWARMROUTER_PORT`, `port`, `--port`. */
  readonly name: string;
  /** `.env line 3`. */
  readonly where: string;
}

/** Reads one value by its kind; null: it is wrong, and `problems` says how. */
export function readValue<T>(
  kind: Kind<T>,
  given: Given,
  places: SecretPlaces,
  problems: Problem[],
): { value: T } | null {
  const { value: written } = given;
  const parsed = parseWritten(kind, written, places);
  if (parsed.ok) return { value: parsed.value };
  problems.push({
    where: given.where,
    name: given.name,
    seen: showSeen(kind, written),
    message: parsed.reason,
    allowed: kind.allowed,
    fix: kind.fix?.(given.name) ?? `correct ${given.name}`,
  });
  return null;
}

function parseWritten<T>(kind: Kind<T>, written: Given['value'], places: SecretPlaces): Parsed<T> {
  if (typeof written === 'string') {
    if (kind.type !== 'secret') return kind.parse(written);
    const resolved = resolveSecret(written, places);
    return resolved.ok ? kind.parse(resolved.text) : resolved;
  }
  if (isPairs(written)) return kind.parsePairs?.(written) ?? { ok: false, reason: 'a mapping does not fit here' };
  return kind.parseItems?.(written) ?? { ok: false, reason: 'a list does not fit here' };
}

const isPairs = (value: Exclude<Given['value'], string>): value is readonly (readonly [string, string])[] =>
  value.length > 0 && typeof value[0] !== 'string';

/** What was written, as an error may show it. */
export function showSeen(kind: Kind<unknown>, written: Given['value']): string {
  if (typeof written === 'string') {
    return kind.type === 'secret' && isSecretReference(written) ? written : kind.showSeen(written);
  }
  return isPairs(written)
    ? written.map((pair) => pair.join('=')).join(',')
    : written.map((item) => kind.showSeen(item)).join(',');
}
