import { UpstreamError } from '../../core/failure.ts';

/** Receives the events of a stream in order. */
export interface SseSink {
  /**
   * @param type the `event:` field; empty when there was none
   * @param data the `data:` lines, joined by line feeds
   * @param start where the event begins in `parser.window`, when it stands there in its canonical form
   *   (`data: …`, line feed, line feed) and can be handed on as it is; else -1
   * @param end where it ends in the window
   */
  event(type: string, data: string, start: number, end: number): void;
}

/** Longest event, its comments and field names included; a server that never ends a line cannot fill the memory. */
export const MAX_EVENT_BYTES = 4 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
const LOWER_D = 0x64;
const SPACE = 0x20;
const EMPTY = new Uint8Array(0);

/**
 * UTF-8 text out of a byte range; bad bytes become U+FFFD. Through Buffer because it needs no view of the range:
 * making one costs three times as much as the decoding itself.
 */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.prototype.toString.call(bytes, 'utf8', start, end);
}

/**
 * A push parser for server-sent events (WHATWG HTML, "event stream interpretation") over bytes, split anywhere.
 * It works in the network's own chunk as long as that ends with a whole event, and copies only what is left over.
 */
export class SseParser {
  readonly #sink: SseSink;
  /** The bytes being read: the network's chunk, or the left-over with the chunk behind it. */
  #window: Uint8Array = EMPTY;
  #length = 0;
  /** Left-over bytes live here and grow by doubling, so that one-byte chunks cost no quadratic copying. */
  #store: Uint8Array = EMPTY;
  #eventStart = 0;
  #lineStart = 0;
  #searchFrom = 0;
  #skipLineFeed = false;
  #atBegin = true;
  // The event being read.
  #type = '';
  #data: string | null = null;
  #firstDataStart = -1;
  #firstDataEnd = -1;
  #plain = true;

  constructor(sink: SseSink) {
    this.#sink = sink;
  }

  /** Where the offsets given to the sink point, until the next `push`. */
  get window(): Uint8Array {
    return this.#window;
  }

  /** True when the window is the chunk itself: its bytes may be handed on without a copy. */
  get windowIsChunk(): boolean {
    return this.#window !== this.#store;
  }

  /** Throws `malformed` for an event beyond the limit; the parser must not be used after that. */
  push(chunk: Uint8Array): void {
    this.#load(chunk);
    if (!this.#atBegin || this.#skipByteOrderMark()) this.#scan(chunk);
    this.#keepRest();
  }

  /** Data of an event whose closing blank line never came; null: there is none. */
  end(): string | null {
    this.#window = this.#store;
    if (this.#length > this.#lineStart) this.#line(this.#length, this.#length);
    return this.#data ?? this.#firstData();
  }

  #load(chunk: Uint8Array): void {
    if (this.#length === 0) {
      this.#window = chunk;
      this.#length = chunk.length;
      return;
    }
    const length = this.#length + chunk.length;
    if (this.#store.length < length) {
      const grown = new Uint8Array(Math.max(1024, length * 2));
      grown.set(this.#store.subarray(0, this.#length));
      this.#store = grown;
    }
    this.#store.set(chunk, this.#length);
    this.#window = this.#store;
    this.#length = length;
  }

  /** False: too few bytes to tell. */
  #skipByteOrderMark(): boolean {
    const mark = [0xef, 0xbb, 0xbf];
    for (let at = 0; at < 3; at++) {
      if (at >= this.#length) return false;
      if (this.#window[at] !== mark[at]) {
        this.#atBegin = false;
        return true;
      }
    }
    this.#atBegin = false;
    this.#eventStart = this.#lineStart = this.#searchFrom = 3;
    return true;
  }

  #scan(chunk: Uint8Array): void {
    const bytes = this.#window.length === this.#length ? this.#window : this.#window.subarray(0, this.#length);
    if (this.#skipLineFeed && this.#searchFrom < this.#length) this.#dropLineFeed(bytes, this.#searchFrom);
    // Carriage returns are rare, and JSON holds none: without one, only line feeds need to be looked for.
    let nextCr = chunk.includes(CR) ? bytes.indexOf(CR, this.#searchFrom) : -1;
    let nextLf = bytes.indexOf(LF, this.#searchFrom);
    while (nextLf !== -1 || nextCr !== -1) {
      const crFirst = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf);
      const end = crFirst ? nextCr : nextLf;
      this.#searchFrom = end + 1;
      if (crFirst) {
        this.#plain = false;
        if (end + 1 === this.#length) this.#skipLineFeed = true;
        else if (bytes[end + 1] === LF) this.#searchFrom = end + 2;
        nextCr = bytes.indexOf(CR, this.#searchFrom);
      }
      this.#line(end, this.#searchFrom);
      this.#lineStart = this.#searchFrom;
      if (nextLf !== -1 && nextLf < this.#searchFrom) nextLf = bytes.indexOf(LF, this.#searchFrom);
    }
    this.#searchFrom = this.#length;
  }

  /** The line feed of a CRLF pair that was cut between two chunks. */
  #dropLineFeed(bytes: Uint8Array, at: number): void {
    this.#skipLineFeed = false;
    if (bytes[at] !== LF) return;
    if (this.#eventStart === this.#lineStart) this.#eventStart++;
    this.#lineStart++;
    this.#searchFrom++;
  }

  /** One line from #lineStart to `end`; the next begins at `next`. */
  #line(end: number, next: number): void {
    const start = this.#lineStart;
    const bytes = this.#window;
    if (start === end) this.#dispatch(next);
    else if (bytes[start] === LOWER_D && isDataField(bytes, start, end)) this.#dataLine(start, end);
    else if (bytes[start] === COLON) this.#comment(next);
    else this.#field(textOf(bytes, start, end));
  }

  /** A run of comments without blank lines must not count as one endless event. */
  #comment(next: number): void {
    if (this.#firstDataStart === -1 && this.#data === null && this.#type === '') this.#eventStart = next;
    else this.#plain = false;
  }

  #dataLine(start: number, end: number): void {
    let from = start + 4;
    if (from < end) from++;
    const spaced = from < end && this.#window[from] === SPACE;
    if (spaced) from++;
    if (this.#firstDataStart === -1 && this.#data === null) {
      this.#firstDataStart = from;
      this.#firstDataEnd = end;
      if (!spaced || start !== this.#eventStart) this.#plain = false;
      return;
    }
    this.#plain = false;
    this.#data = `${this.#data ?? this.#firstData() ?? ''}\n${textOf(this.#window, from, end)}`;
    this.#firstDataStart = -1;
  }

  #field(line: string): void {
    this.#plain = false;
    const colon = line.indexOf(':');
    if ((colon === -1 ? line : line.slice(0, colon)) !== 'event') return;
    const value = colon === -1 ? '' : line.slice(colon + 1);
    this.#type = value.startsWith(' ') ? value.slice(1) : value;
  }

  #firstData(): string | null {
    if (this.#firstDataStart === -1) return null;
    return textOf(this.#window, this.#firstDataStart, this.#firstDataEnd);
  }

  #dispatch(next: number): void {
    const data = this.#data ?? this.#firstData();
    const type = this.#type;
    const start = this.#plain ? this.#eventStart : -1;
    this.#eventStart = next;
    this.#type = '';
    this.#data = null;
    this.#firstDataStart = -1;
    this.#plain = true;
    // An event without a data line is none, by the standard.
    if (data !== null) this.#sink.event(type, data, start, next);
  }

  /** Keeps the bytes of the unfinished event and moves the offsets with them. */
  #keepRest(): void {
    const from = this.#eventStart;
    const rest = this.#length - from;
    if (rest > MAX_EVENT_BYTES) {
      throw new UpstreamError('malformed', `the stream holds an event of more than ${MAX_EVENT_BYTES} bytes`);
    }
    if (rest > 0) this.#moveRest(from, rest);
    this.#length = rest;
    this.#eventStart = 0;
    this.#lineStart -= from;
    this.#searchFrom -= from;
    if (this.#firstDataStart !== -1) {
      this.#firstDataStart -= from;
      this.#firstDataEnd -= from;
    }
  }

  #moveRest(from: number, rest: number): void {
    if (this.#window === this.#store) {
      if (from > 0) this.#store.copyWithin(0, from, this.#length);
      return;
    }
    if (this.#store.length < rest) this.#store = new Uint8Array(Math.max(1024, rest * 2));
    this.#store.set(this.#window.subarray(from, this.#length));
  }
}

/** Is the line's field name exactly `data`? Its first byte has been checked. */
function isDataField(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start >= 4 &&
    bytes[start + 1] === 0x61 &&
    bytes[start + 2] === 0x74 &&
    bytes[start + 3] === 0x61 &&
    (end - start === 4 || bytes[start + 4] === COLON)
  );
}
