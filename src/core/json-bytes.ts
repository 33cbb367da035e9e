import type { JsonObject } from './json-shape.ts';

/** Quotes, colon and comma of one member. */
const MEMBER_BYTES = 6;
const NUMBER_BYTES = 4;

/**
 * About what it has as compact JSON without escapes, UTF-8, without writing that. Depth is bounded by the request's own limit.
 * @param bytesOf what a text counts for
 */
export function jsonBytes(value: unknown, bytesOf: (text: string) => number = Buffer.byteLength): number {
  if (typeof value === 'string') return bytesOf(value);
  if (typeof value !== 'object' || value === null) return NUMBER_BYTES;
  let bytes = 0;
  if (Array.isArray(value)) {
    for (const item of value) bytes += jsonBytes(item, bytesOf) + 1;
    return bytes;
  }
  for (const name in value) bytes += bytesOf(name) + MEMBER_BYTES + jsonBytes((value as JsonObject)[name], bytesOf);
  return bytes;
}
