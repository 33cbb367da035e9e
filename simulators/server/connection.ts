import type { Socket } from 'node:net';
import { type HttpRequest, parseRequest } from './http-request.ts';

/** The raw end of one answer: whoever holds it decides every byte and how the connection ends. */
export interface ResponseWire {
  /** Fires when the client closes the connection before the answer's end, or the server is killed. */
  readonly gone: AbortSignal;
  /** Resolves when the socket takes more; at once if the client has gone. */
  write(bytes: string | Uint8Array): Promise<void>;
  /** RST: what the client sees when a process dies. */
  reset(): void;
  /** FIN: a polite close without regard to where the answer stands. */
  close(): void;
  /** After this answer the connection closes this long after; null: it stays. */
  closeAfterMs: number | null;
}

export type RequestHandler = (request: HttpRequest, wire: ResponseWire) => Promise<void>;

/** One client connection: requests in order, one at a time. */
export class Connection {
  readonly #socket: Socket;
  readonly #handle: RequestHandler;
  readonly #idleMs: () => number | null;
  #pending: Buffer = Buffer.alloc(0);
  #current: AbortController | null = null;
  #idleTimer: ReturnType<typeof setTimeout> | null = null;
  #closing = false;

  constructor(socket: Socket, handle: RequestHandler, idleMs: () => number | null) {
    this.#socket = socket;
    this.#handle = handle;
    this.#idleMs = idleMs;
    socket.setNoDelay(true);
    socket.on('data', (bytes: Buffer) => this.#onData(bytes));
    socket.on('close', () => this.#onClose());
    // A reset by the client is ordinary here; 'close' follows and does the work.
    socket.on('error', () => this.#onClose());
    this.#armIdleTimer(null);
  }

  reset(): void {
    this.#current?.abort();
    this.#socket.resetAndDestroy();
  }

  /** Closes now if idle, else after the running answer. */
  finish(): void {
    this.#closing = true;
    if (this.#current === null) this.#socket.destroy();
  }

  #onData(bytes: Buffer): void {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    if (this.#current === null) this.#pump();
  }

  #onClose(): void {
    this.#disarmIdleTimer();
    this.#closing = true;
    this.#current?.abort();
  }

  #pump(): void {
    if (this.#pending.length === 0 || this.#closing) return;
    this.#disarmIdleTimer();
    const parsed = parseRequest(this.#pending);
    if (parsed.state === 'incomplete') {
      if (parsed.expectsContinue) this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      return;
    }
    if (parsed.state === 'invalid') {
      this.#closing = true;
      this.#socket.end(`HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    this.#pending = this.#pending.subarray(parsed.consumed);
    void this.#serve(parsed.request);
  }

  async #serve(request: HttpRequest): Promise<void> {
    const controller = new AbortController();
    this.#current = controller;
    const wire = this.#wire(controller);
    try {
      await this.#handle(request, wire);
    } catch (error) {
      // A bug of a simulator must be loud, and must not leave a client waiting.
      console.error(`simulator: ${request.method} ${request.path} failed`, error);
      this.#socket.destroy();
    }
    this.#current = null;
    if (this.#closing || !request.keepAlive) {
      this.#closing = true;
      this.#socket.end();
      return;
    }
    this.#armIdleTimer(wire.closeAfterMs);
    this.#pump();
  }

  #wire(controller: AbortController): ResponseWire {
    return {
      gone: controller.signal,
      closeAfterMs: null,
      write: (bytes) => this.#write(bytes, controller.signal),
      reset: () => {
        this.#closing = true;
        this.#socket.resetAndDestroy();
      },
      close: () => {
        this.#closing = true;
        this.#socket.end();
      },
    };
  }

  #write(bytes: string | Uint8Array, gone: AbortSignal): Promise<void> {
    if (gone.aborted || this.#socket.destroyed || this.#socket.write(bytes)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        gone.removeEventListener('abort', done);
        resolve();
      };
      this.#socket.once('drain', done);
      gone.addEventListener('abort', done);
    });
  }

  #armIdleTimer(onceMs: number | null): void {
    const idleMs = onceMs ?? this.#idleMs();
    if (idleMs === null) return;
    this.#idleTimer = setTimeout(() => {
      // Nothing is read any more: a request that crosses the close on its way was never seen.
      this.#closing = true;
      this.#socket.end();
    }, idleMs);
  }

  #disarmIdleTimer(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }
}
