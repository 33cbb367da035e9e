import type { JsonObject } from './json-shape.ts';

/** How many answers a request makes a server write: `n`, and of `best_of` all though fewer are shown. ≥ 1. */
export function answersOf(body: JsonObject): number {
  return Math.max(countOf(body['n']), countOf(body['best_of']));
}

/** Some servers read numbers that were sent as text. */
function countOf(value: unknown): number {
  const count = typeof value === 'string' ? Number(value) : value;
  return typeof count === 'number' && count >= 1 ? Math.ceil(Math.min(count, Number.MAX_SAFE_INTEGER)) : 1;
}
