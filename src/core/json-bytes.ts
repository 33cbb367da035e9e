import type { JsonObject } from './json-shape.ts';

/** Quotes, colon and comma of one member. */
const MEMBER_BYTES = 6;
const NUMBER_BYTES = 4;

/** About what it has as compact JSON without escapes, UTF-8, without writing that. Depth is bounded by the request's own limit. */
export function jsonBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return NUMBER_BYTES;
  let bytes = 0;
  if (Array.isArray(value)) {
    for (const item of value) bytes += jsonBytes(item) + 1;
    return bytes;
  }
  for (const name in value) bytes += Buffer.byteLength(name) + MEMBER_BYTES + jsonBytes((value as JsonObject)[name]);
  return bytes;
}
