/** Raised for bytes that are not one JSON object, or nest deeper than allowed. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError';
  readonly reason: 'too-deep' | 'not-an-object' | 'broken';
  constructor(reason: 'too-deep' | 'not-an-object' | 'broken', message: string) {
    super(message);
    this.reason = reason;
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/**
 * Refuses nesting beyond `maxDepth` before JSON.parse sees it: 10 MB of `[` would hold the event loop for
 * seconds (faults F-46). Only brackets outside strings count; whether the rest is JSON is JSON.parse's business.
 */
export function checkDepth(bytes: Uint8Array, maxDepth: number): void {
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) at = endOfString(bytes, at);
    else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      if (++depth > maxDepth) throw new JsonShapeError('too-deep', `nested deeper than ${maxDepth} levels`);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) depth--;
  }
}

/** Index of the quote that closes the string opened at `open`; the end of the bytes when it is never closed. */
function endOfString(bytes: Uint8Array, open: number): number {
  for (let close = bytes.indexOf(QUOTE, open + 1); close !== -1; close = bytes.indexOf(QUOTE, close + 1)) {
    let backslashes = 0;
    while (bytes[close - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return close;
  }
  return bytes.length;
}

interface Member {
  readonly key: string;
  /** From the first byte of the key to the last byte of the value. */
  readonly start: number;
  readonly end: number;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The members of the outermost object, in order. The bytes must already have passed JSON.parse. */
function topLevelMembers(bytes: Uint8Array): {
  readonly open: number;
  readonly close: number;
  readonly members: Member[];
} {
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
        key = JSON.parse(decoder.decode(bytes.subarray(at, close + 1)));
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
 * unknown fields, number spellings and big bodies pass as the client sent them. A member that occurs twice
 * (JSON.parse takes the last) is replaced as a whole.
 */
export function patchTopLevel(bytes: Uint8Array, changes: Readonly<Record<string, unknown>>): Uint8Array {
  const { open, close, members } = topLevelMembers(bytes);
  const pieces: Uint8Array[] = [];
  let kept = 0;
  // Neighbouring members that stay are copied as one run.
  let runStart = -1;
  let runEnd = -1;
  const flush = (): void => {
    if (runStart === -1) return;
    if (pieces.length > 0) pieces.push(COMMA_BYTES);
    pieces.push(bytes.subarray(runStart, runEnd + 1));
    runStart = -1;
  };
  for (const member of members) {
    if (Object.hasOwn(changes, member.key)) {
      flush();
      continue;
    }
    if (runStart === -1) runStart = member.start;
    runEnd = member.end;
    kept++;
  }
  flush();
  const added = Object.entries(changes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join(',');
  const tail = encoder.encode(`${kept > 0 && added !== '' ? ',' : ''}${added}`);
  return concat([bytes.subarray(open, open + 1), ...pieces, tail, bytes.subarray(close, close + 1)]);
}

const COMMA_BYTES = Uint8Array.of(COMMA);

function concat(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
