import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  endOfString,
  keyOf,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
} from './json-scan.ts';

type JsonShapeReason = 'too-deep' | 'too-many-keys' | 'not-an-object' | 'broken';

/** Raised for bytes that are not one JSON object, or nest deeper than allowed. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError';
  readonly reason: JsonShapeReason;
  constructor(reason: JsonShapeReason, message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface JsonLimits {
  readonly maxDepth: number;
  /** In all objects together. */
  readonly maxKeys: number;
}

/**
 * Refuses what would hold the event loop for seconds before JSON.parse sees it (faults F-46): 10 MB of `[`, or an
 * object of a million keys. Only what stands outside strings counts; whether the rest is JSON is JSON.parse's business.
 * Returns how many members there are in all objects: more than JSON.parse leaves of them, when one occurs twice.
 */
export function checkShape(bytes: Uint8Array, { maxDepth, maxKeys }: JsonLimits): number {
  let depth = 0;
  let keys = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at);
    else if (byte === COLON) {
      if (++keys > maxKeys) throw new JsonShapeError('too-many-keys', `made of more than ${maxKeys} keys`);
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (++depth > maxDepth) throw new JsonShapeError('too-deep', `nested deeper than ${maxDepth} levels`);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
  }
  return keys;
}

interface Member {
  readonly key: string;
  /** From the first byte of the key to the last byte of the value. */
  readonly start: number;
  readonly end: number;
}

/** From the first byte of a value up to the byte behind it. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const encoder = new TextEncoder();

interface TopLevel {
  readonly open: number;
  readonly close: number;
  readonly members: readonly Member[];
}

/** A body is looked through to route it and again for each attempt. It never changes. */
const lookedThrough = new WeakMap<Uint8Array, TopLevel>();
/** An object of a hundred thousand members is not worth the memory. */
const MOST_REMEMBERED = 64;

/** The members of the outermost object, in order. The bytes must already have passed JSON.parse, and never change. */
function topLevelMembers(bytes: Uint8Array): TopLevel {
  const known = lookedThrough.get(bytes);
  if (known !== undefined) return known;
  const found = findTopLevel(bytes);
  if (found.members.length <= MOST_REMEMBERED) lookedThrough.set(bytes, found);
  return found;
}

function findTopLevel(bytes: Uint8Array): TopLevel {
  const open = bytes.indexOf(OPEN_OBJECT);
  const members: Member[] = [];
  let depth = 0;
  let keyStart = -1;
  let key = '';
  let lastSolid = open;
  for (let at = open; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte <= 0x20) continue;
    if (byte === QUOTE) {
      const close = endOfString(bytes, at);
      if (depth === 1 && keyStart === -1) {
        keyStart = at;
        key = keyOf(bytes, at, close);
      }
      at = close;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth--;
      if (depth === 0) {
        if (keyStart !== -1) members.push({ key, start: keyStart, end: lastSolid });
        return { open, close: at, members };
      }
    } else if (byte === COMMA && depth === 1) {
      members.push({ key, start: keyStart, end: lastSolid });
      keyStart = -1;
    } else if (byte === COLON && depth === 1) continue;
    lastSolid = at;
  }
  throw new JsonShapeError('broken', 'the object is never closed');
}

/**
 * Sets (or with `undefined` removes) top-level members of a JSON object without parsing or rewriting the rest:
 * unknown fields, number spellings and big bodies pass as the client sent them. `bytes` must never change. A member that occurs twice
 * (JSON.parse takes the last, other parsers the first) is replaced as a whole.
 * @param parsed the same object parsed: a member that has its value already, once, then stays where it is, and when
 *   all do the very bytes come back
 */
export function patchTopLevel(
  bytes: Uint8Array,
  changes: Readonly<Record<string, unknown>>,
  parsed: Readonly<Record<string, unknown>> | null = null,
): Uint8Array {
  const { open, close, members } = topLevelMembers(bytes);
  const replaced = new Set<string>();
  let added = '';
  for (const name of Object.keys(changes)) {
    const value = changes[name];
    const occurs = countOf(members, name);
    if (occurs === 0 && value === undefined) continue;
    if (occurs === 1 && parsed !== null && parsed[name] === value) continue;
    replaced.add(name);
    if (value !== undefined) added += `${added === '' ? '' : ','}${JSON.stringify(name)}:${JSON.stringify(value)}`;
  }
  if (replaced.size === 0) return bytes;
  return rewrite(bytes, open, close, runsOf(members, replaced), encoder.encode(added));
}

/** Where the values of these members of the outermost object stand; of a member that occurs twice the last one, as JSON.parse takes it. */
export function topLevelRanges<Name extends string>(
  bytes: Uint8Array,
  names: readonly Name[],
): Partial<Record<Name, ByteRange>> {
  const ranges: Partial<Record<Name, ByteRange>> = {};
  for (const { key, start, end } of topLevelMembers(bytes).members) {
    const name = names.find((wanted) => wanted === key);
    if (name === undefined) continue;
    let at = bytes.indexOf(COLON, endOfString(bytes, start)) + 1;
    while ((bytes[at] as number) <= 0x20) at++;
    ranges[name] = { start: at, end: end + 1 };
  }
  return ranges;
}

function countOf(members: readonly Member[], name: string): number {
  let count = 0;
  for (const { key } of members) if (key === name) count++;
  return count;
}

/** Neighbouring members that stay, as start, end, start, end …; an end is behind the last byte. */
function runsOf(members: readonly Member[], replaced: ReadonlySet<string>): readonly number[] {
  const runs: number[] = [];
  let isInRun = false;
  for (const { key, start, end } of members) {
    if (replaced.has(key)) {
      isInRun = false;
      continue;
    }
    if (isInRun) runs[runs.length - 1] = end + 1;
    else runs.push(start, end + 1);
    isInRun = true;
  }
  return runs;
}

function rewrite(
  bytes: Uint8Array,
  open: number,
  close: number,
  runs: readonly number[],
  tail: Uint8Array,
): Uint8Array {
  let length = 2 + tail.length + Math.max(0, runs.length / 2 - (tail.length === 0 ? 1 : 0));
  for (let run = 0; run < runs.length; run += 2) length += (runs[run + 1] as number) - (runs[run] as number);
  const whole = new Uint8Array(length);
  whole[0] = bytes[open] as number;
  let at = 1;
  for (let run = 0; run < runs.length; run += 2) {
    if (run > 0) whole[at++] = COMMA;
    const start = runs[run] as number;
    const end = runs[run + 1] as number;
    whole.set(bytes.subarray(start, end), at);
    at += end - start;
  }
  if (runs.length > 0 && tail.length > 0) whole[at++] = COMMA;
  whole.set(tail, at);
  whole[length - 1] = bytes[close] as number;
  return whole;
}
