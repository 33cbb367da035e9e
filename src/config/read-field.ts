import type { Problem } from '../core/problem.ts';
import { readValue } from './read-value.ts';
import type { SecretPlaces } from './secret-reference.ts';
import type { Kind } from './setting-kinds.ts';
import type { YamlSection } from './yaml-file.ts';

export interface FieldPlace {
  readonly entries: YamlSection;
  /** What problems call a field: `targets[0].url`, `routes.careful.strategy`. */
  nameOf(field: string): string;
  /** Where a line is: `swarmrouter.yaml line 7`. */
  whereOf(line: number): string;
}

/** @param path `targets[0]`, `routes.careful` · @param label how problems call the file */
export function placeIn(entries: YamlSection, path: string, label: string): FieldPlace {
  return { entries, nameOf: (field) => `${path}.${field}`, whereOf: (line) => `${label} line ${line}` };
}

/** Reads fields of one entry by name; what is wrong goes into `problems`. The result gives null for one that is not given. */
export function fieldReader<Name extends string>(
  { entries, nameOf, whereOf }: FieldPlace,
  places: SecretPlaces,
  problems: Problem[],
): <T>(name: Name, kind: Kind<T>) => T | null {
  return (name, kind) => {
    const entry = entries.find(({ key }) => key === name);
    if (entry === undefined || entry.value === null || entry.value.length === 0) return null;
    const given = { value: entry.value, name: nameOf(name), where: whereOf(entry.line) };
    return readValue(kind, given, places, problems)?.value ?? null;
  };
}
