import type { Problem } from '../core/problem.ts';
import { readValue } from './read-value.ts';
import type { SecretPlaces } from './secret-reference.ts';
import type { Kind } from './setting-kinds.ts';
import type { YamlSection } from './yaml-file.ts';

export interface FieldPlace {
  readonly entries: YamlSection;
  /** `targets[0]`, `routes.careful`. */
  readonly path: string;
  /** How problems call the file. */
  readonly label: string;
}

/** Reads fields of one entry by name; what is wrong goes into `problems`. The result gives null for one that is not given. */
export function fieldReader<Name extends string>(
  { entries, path, label }: FieldPlace,
  places: SecretPlaces,
  problems: Problem[],
): <T>(name: Name, kind: Kind<T>) => T | null {
  return (name, kind) => {
    const entry = entries.find(({ key }) => key === name);
    if (entry === undefined || entry.value === null || entry.value.length === 0) return null;
    const given = { value: entry.value, name: `${path}.${name}`, where: `${label} line ${entry.line}` };
    return readValue(kind, given, places, problems)?.value ?? null;
  };
}
