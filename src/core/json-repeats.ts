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
import type { MemberNames } from './member-names.ts';

/** Names of members and places in lists, from the outermost object inwards. */
export type JsonPath = readonly (string | number)[];

/** An object or list that is open. */
interface Open {
  /** Of its members, or of those of what it lists; null: none means anything. */
  readonly names: MemberNames | null;
  /** Names of the members so far; null: it is a list. */
  readonly seen: Set<string> | null;
  /** The member or place that is read. */
  at: string | number;
  /** What stands at a member: its key is read. */
  inValue: boolean;
}

/**
 * The first member with a meaning that occurs twice in its object; null: none. JSON.parse keeps the last and says
 * nothing. The bytes must have passed it.
 */
export function repeatedMember(bytes: Uint8Array, names: MemberNames): JsonPath | null {
  const open: Open[] = [];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    const inner = open.at(-1);
    if (byte === QUOTE) {
      const close = endOfString(bytes, at);
      if (inner !== undefined && readKey(inner, bytes, at, close)) return open.map((one) => one.at);
      at = close;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      const isList = byte === OPEN_ARRAY;
      open.push({
        names: inner === undefined ? names : namesIn(inner),
        seen: isList ? null : new Set(),
        ...{ at: isList ? 0 : '', inValue: isList },
      });
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) open.pop();
    else if (byte === COLON && inner !== undefined) inner.inValue = true;
    else if (byte === COMMA && inner !== undefined) next(inner);
  }
  return null;
}

/** True: it is the second one of its name, and means something. */
function readKey(inner: Open, bytes: Uint8Array, open: number, close: number): boolean {
  if (inner.inValue || inner.seen === null || inner.names === null) return false;
  const key = keyOf(bytes, open, close);
  inner.at = key;
  if (inner.seen.has(key)) return inner.names.of(key) !== undefined;
  inner.seen.add(key);
  return false;
}

/** What is in a list is as if it stood there by itself. */
function namesIn({ names, seen, at }: Open): MemberNames | null {
  return seen === null ? names : (names?.of(String(at)) ?? null);
}

function next(inner: Open): void {
  if (typeof inner.at === 'number') inner.at++;
  else inner.inValue = false;
}
