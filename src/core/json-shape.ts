/** Readers for JSON that somebody else wrote: each gives the value when it has the shape, else a neutral one. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A string with something in it, else null. */
export function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** A whole number of at least `least`, else null. */
export function countOf(value: unknown, least = 0): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least ? value : null;
}
