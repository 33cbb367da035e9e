import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { MAX_EVENT_BYTES, SseParser } from './sse-parser.ts';

interface Seen {
  readonly type: string;
  readonly data: string;
}

/** The standard's algorithm on a whole text, written for plainness. */
function reference(text: string): { events: Seen[]; rest: string | null } {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const last = lines.pop() ?? '';
  const events: Seen[] = [];
  let type = '';
  let data: string[] = [];
  const field = (line: string): void => {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'event') type = value;
    if (name === 'data') data.push(value);
  };
  for (const line of lines) {
    if (line !== '') field(line);
    else {
      if (data.length > 0) events.push({ type, data: data.join('\n') });
      type = '';
      data = [];
    }
  }
  if (last !== '') field(last);
  return { events, rest: data.length > 0 ? data.join('\n') : null };
}

/** Parses chunk by chunk and checks each span that the parser says may be handed on. */
function parse(chunks: readonly Uint8Array[]): { events: Seen[]; rest: string | null } {
  const events: Seen[] = [];
  const parser: SseParser = new SseParser({
    event(type, data, start, end) {
      if (start !== -1) {
        const span = new TextDecoder('utf-8', { ignoreBOM: true }).decode(parser.window.subarray(start, end));
        expect(span).toBe(`data: ${data}\n\n`);
      }
      events.push({ type, data });
    },
  });
  for (const chunk of chunks) parser.push(chunk);
  return { events, rest: parser.end() };
}

function split(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((one, other) => one - other);
  const chunks: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...at, bytes.length]) {
    chunks.push(bytes.slice(from, cut));
    from = cut;
  }
  return chunks;
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const piece = fc.constantFrom(
  'data: {"a":"é😀漢"}',
  'data:x',
  'data',
  'data: ',
  'data:  two spaces',
  'dat: no',
  'datab: no',
  'data : no',
  ': comment',
  ':',
  'event: error',
  'event',
  'id: 7',
  'retry: 10',
  '\uFEFFdata: mark inside',
  'data: [DONE]',
);
const lineEnd = fc.constantFrom('\n', '\n', '\n', '\n\n', '\n\n', '\r\n', '\r\n\r\n', '\r', '\r\r', '\n\r\n', '\r\n\n');
const stream = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(piece, lineEnd), { maxLength: 30 }))
  .map(([mark, lines]) => (mark ? '\uFEFF' : '') + lines.map(([line, end]) => line + end).join(''));

describe('reading server-sent events', () => {
  test('equals the standard algorithm wherever the bytes are cut', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(2_000), { maxLength: 40 }), (text, cuts) => {
        expect(parse(split(encode(text), cuts))).toEqual(reference(text));
      }),
      { numRuns: 1_500 },
    );
  });

  test('equals the standard algorithm byte by byte', () => {
    fc.assert(
      fc.property(stream, (text) => {
        const bytes = encode(text);
        expect(parse([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(reference(text));
      }),
      { numRuns: 500 },
    );
  });

  test('equals the standard algorithm at every split in two and in three (F-14, F-16)', () => {
    const text =
      '\uFEFFdata: {"a":"é😀漢"}\r\n\r\n: ping\rdata:x\r\revent: error\ndata: two\r\ndata:  lines\n\nid: 7\rdata\n\ndata: [DONE]';
    const bytes = encode(text);
    const expected = reference(text);
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second += first === second ? 1 : 7) {
        expect(parse([bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)])).toEqual(expected);
      }
    }
  });

  test('equals the standard algorithm on bytes that are no UTF-8, wherever they are cut (F-14)', () => {
    const wild = fc.array(
      fc.oneof(
        stream.map(encode),
        fc.uint8Array({ maxLength: 12 }),
        fc.constantFrom(Uint8Array.of(0xff), Uint8Array.of(0xe2, 0x82), Uint8Array.of(0xf0, 0x9f), encode('data: ')),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(wild, fc.array(fc.nat(2_000), { maxLength: 20 }), (pieces, cuts) => {
        const bytes = new Uint8Array(Buffer.concat(pieces));
        // The mark is the reference's own to take off.
        const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        expect(parse(split(bytes, cuts))).toEqual(reference(text));
      }),
      { numRuns: 1_500 },
    );
  });

  test('reads lines of megabytes whole, in pieces of any size (F-15)', () => {
    for (const pieceLength of [1_000, 65_536, 4_000_000]) {
      const bytes = encode(`data: ${'ü'.repeat(1_500_000)}\n\ndata: next\n\n`);
      const cuts = Array.from({ length: Math.floor(bytes.length / pieceLength) }, (_, at) => (at + 1) * pieceLength);
      const { events, rest } = parse(split(bytes, cuts));
      expect([events.length, events[0]?.data.length, events[1]?.data, rest]).toEqual([2, 1_500_000, 'next', null]);
    }
  });

  test('hands on a whole event of the chunk in place', () => {
    const spans: [number, number][] = [];
    const parser = new SseParser({ event: (_type, _data, start, end) => void spans.push([start, end]) });
    parser.push(encode('data: {}\n\ndata: {"b":1}\n\n: ping\n\ndata:{}\n\n'));
    expect(spans).toEqual([
      [0, 10],
      [10, 25],
      [-1, 42],
    ]);
    expect(parser.windowIsChunk).toBe(true);
  });

  test('refuses an event that never ends before it fills the memory', () => {
    const parser = new SseParser({ event: () => undefined });
    const chunk = encode('a'.repeat(64 * 1024));
    parser.push(encode('data: '));
    expect(() => {
      for (let sent = 0; sent <= MAX_EVENT_BYTES; sent += chunk.length) parser.push(chunk);
    }).toThrow('an event of more than 4194304 bytes');
  });

  test('reads comments without blank lines for ever', () => {
    const parser = new SseParser({ event: () => undefined });
    const comments = encode(': still here\n'.repeat(10_000));
    for (let sent = 0; sent < 2 * MAX_EVENT_BYTES; sent += comments.length) parser.push(comments);
    expect(parser.end()).toBeNull();
  });
});
