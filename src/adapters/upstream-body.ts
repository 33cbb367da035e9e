import { UpstreamError } from '../core/failure.ts';
import type { AttemptWatch } from './attempt-watch.ts';
import type { IdleConnections } from './idle-connections.ts';
import { socketFault } from './socket-faults.ts';

type ByteReader = ReadableStreamDefaultReader<Uint8Array>;

/** Bodies up to this length, when the server states it, are read in one call: it is cheaper than a reader. */
const READ_AT_ONCE_BYTES = 1 << 20;
/** After a stream's end marker, how long the connection may take to finish its framing before it is given up. */
const LINGER_MS = 500;

/** The body of one reply, pulled by its one reader; faults come out classified. */
export class UpstreamBody {
  readonly #response: Response;
  readonly #watch: AttemptWatch;
  /** The origin. */
  readonly #where: string;
  readonly #idle: IdleConnections;
  #reader: ByteReader | null = null;
  #unread: Uint8Array | null = null;
  #ended = false;

  constructor(response: Response, watch: AttemptWatch, where: string, idle: IdleConnections) {
    this.#response = response;
    this.#watch = watch;
    this.#where = where;
    this.#idle = idle;
  }

  /** The next bytes as the network gave them; null at the end. Nothing is read ahead of a call. */
  async read(): Promise<Uint8Array | null> {
    try {
      const { value } = await this.pull();
      if (value === undefined) this.ended();
      return value ?? null;
    } catch (error) {
      throw this.fault(error);
    }
  }

  /**
   * `read` without its own promise, for the path of every chunk: `value` is undefined at the end, and whoever
   * awaits it calls `ended` then, and passes a rejection through `fault`.
   */
  pull(): Promise<{ readonly value?: Uint8Array | undefined }> {
    if (this.#unread !== null) {
      const value = this.#unread;
      this.#unread = null;
      return Promise.resolve({ value });
    }
    this.#reader ??= (this.#response.body?.getReader() as ByteReader | undefined) ?? null;
    return this.#reader?.read() ?? Promise.resolve({});
  }

  /** The body came to its end: its connection is idle from now on. */
  ended(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { headers } = this.#response;
    if (!/\bclose\b/i.test(headers.get('connection') ?? '')) {
      this.#idle.give(this.#where, this.#watch.nowMs(), headers.get('keep-alive'));
    }
  }

  /** Classifies what a rejected `pull` gave. */
  fault(error: unknown): UpstreamError {
    const cause = this.#watch.cause ?? socketFault(error, this.#where, 'body');
    this.#watch.dispose();
    return cause;
  }

  /** Gives bytes back: the next `read` returns them. */
  unread(bytes: Uint8Array): void {
    this.#unread = bytes;
  }

  /**
   * The whole body. Rejects with `malformed` beyond `maxBytes`, counted after any decompression, and with
   * `timeout` when `idleMs` (null: no limit) pass without a byte.
   */
  async readAll(maxBytes: number, idleMs: number | null): Promise<Uint8Array> {
    if (this.#reader === null && this.#unread === null && this.#statedLength() <= READ_AT_ONCE_BYTES) {
      this.#startIdle(idleMs);
      try {
        const bytes = await this.#response.bytes();
        this.ended();
        return bytes;
      } catch (error) {
        throw this.fault(error);
      }
    }
    const pieces: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      this.#startIdle(idleMs);
      const piece = await this.read();
      if (piece === null) return pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces);
      length += piece.length;
      if (length > maxBytes) throw this.#tooLong(maxBytes);
      pieces.push(piece);
    }
  }

  #startIdle(idleMs: number | null): void {
    if (idleMs !== null) this.#watch.start('idle', idleMs, this.#watch.nowMs());
  }

  #tooLong(maxBytes: number): UpstreamError {
    const error = new UpstreamError('malformed', `${this.#where} sent a reply of more than ${maxBytes} bytes`);
    this.#watch.abort(error);
    return error;
  }

  /**
   * Call after the stream's end marker: reads what the framing still holds so that the connection can be used
   * again, and gives it up when more than that comes.
   */
  linger(): void {
    this.#watch.start('total', LINGER_MS, this.#watch.nowMs());
    this.read().then(
      (rest) => (rest === null ? this.#watch.dispose() : this.close()),
      () => this.#watch.dispose(),
    );
  }

  /** Closes the socket when the body has not ended yet. Harmless afterwards. */
  close(): void {
    this.#watch.abort(new UpstreamError('cancelled', 'the reply was given up'));
  }

  /** Infinity when it is not stated, or counts compressed bytes. */
  #statedLength(): number {
    const { headers } = this.#response;
    const length = headers.get('content-length');
    if (length === null || headers.get('content-encoding') !== null) return Number.POSITIVE_INFINITY;
    return Number(length);
  }
}
