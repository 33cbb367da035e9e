import { setImmediate } from 'node:timers/promises';
import type { ResponseWire } from './connection.ts';
import { sleep } from './sleep.ts';

/** Time for the client to read what came before a reset, which may throw away what it has not read. */
const BEFORE_RESET_MS = 10;

export interface WriteManner {
  /** Null: each write as it comes. */
  readonly bytesPerWrite: number | null;
  /** Resets the connection after this many bytes of the body; null: never. */
  readonly resetAfterBytes: number | null;
}

export const PLAIN_MANNER: WriteManner = { bytesPerWrite: null, resetAfterBytes: null };

const STATUS_TEXTS: Readonly<Record<number, string>> = {
  200: 'OK',
  302: 'Found',
  400: 'Bad Request',
  401: 'Unauthorized',
  404: 'Not Found',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
};

/** Writes one HTTP answer: the head together with the first bytes of the body, as real servers mostly do. */
export class BodyWriter {
  readonly #wire: ResponseWire;
  readonly #manner: WriteManner;
  readonly #chunked: boolean;
  #head: string;
  #bodyBytes = 0;
  /** The connection is no longer ours to write to. */
  ended = false;

  constructor(
    wire: ResponseWire,
    status: number,
    headers: Readonly<Record<string, string>>,
    contentLength: number | null,
    manner: WriteManner = PLAIN_MANNER,
  ) {
    this.#wire = wire;
    this.#manner = manner;
    this.#chunked = contentLength === null;
    const framing = contentLength === null ? 'transfer-encoding: chunked' : `content-length: ${contentLength}`;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#head = `HTTP/1.1 ${status} ${STATUS_TEXTS[status] ?? 'Status'}\r\n${lines.join('')}${framing}\r\n\r\n`;
  }

  /** Sends the head alone. */
  async flushHead(): Promise<void> {
    const head = this.#head;
    this.#head = '';
    if (head !== '') await this.#wire.write(head);
  }

  async write(body: string | Uint8Array): Promise<void> {
    if (this.ended || this.#wire.gone.aborted || body.length === 0) return;
    if (this.#manner === PLAIN_MANNER && typeof body === 'string') {
      const head = this.#head;
      this.#head = '';
      return this.#wire.write(head + (this.#chunked ? `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n` : body));
    }
    await this.flushHead();
    await this.#writeSlices(Buffer.from(body));
  }

  async end(): Promise<void> {
    if (this.ended || this.#wire.gone.aborted) return;
    const head = this.#head;
    this.#head = '';
    this.ended = true;
    if (head !== '' || this.#chunked) await this.#wire.write(head + (this.#chunked ? '0\r\n\r\n' : ''));
  }

  async reset(): Promise<void> {
    await this.flushHead();
    await sleep(BEFORE_RESET_MS, this.#wire.gone);
    this.ended = true;
    this.#wire.reset();
  }

  async cut(): Promise<void> {
    await this.flushHead();
    this.ended = true;
    this.#wire.close();
  }

  async #writeSlices(bytes: Buffer): Promise<void> {
    const step = this.#manner.bytesPerWrite ?? bytes.length;
    for (let at = 0; at < bytes.length && !this.#wire.gone.aborted; at += step) {
      const left = (this.#manner.resetAfterBytes ?? Number.POSITIVE_INFINITY) - this.#bodyBytes;
      const slice = bytes.subarray(at, at + Math.min(step, left));
      this.#bodyBytes += slice.length;
      if (slice.length > 0) await this.#wire.write(this.#framed(slice));
      if (slice.length >= left) return this.reset();
      // Lets the slice leave as a segment of its own.
      if (this.#manner.bytesPerWrite !== null) await setImmediate();
    }
  }

  #framed(slice: Uint8Array): Uint8Array {
    if (!this.#chunked) return slice;
    return Buffer.concat([Buffer.from(`${slice.length.toString(16)}\r\n`), slice, Buffer.from('\r\n')]);
  }
}
