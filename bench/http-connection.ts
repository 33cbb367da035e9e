import type { Socket } from 'bun';
import { SocketWriter } from './socket-writer.ts';
import { LAST_HTTP_CHUNK, TOKEN } from './wire.ts';

/** What the load generator learns of one exchange. */
export interface Exchange {
  /** Called once, with the first bytes that hold a token; not for whole replies. */
  onFirstToken?(): void;
  /** Called once. `status` is null when the connection broke before the head of a reply. */
  onEnd(ok: boolean, status: number | null): void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from(LAST_HTTP_CHUNK);
const TOKEN_BYTES = Buffer.from(TOKEN);
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const LENGTH = /\r\ncontent-length: *(\d+)/i;

/**
 * One kept-alive HTTP/1.1 client connection, one exchange at a time. It reads no more than it must: the load
 * generator shares its core with the upstream and must never be what is measured.
 */
export class HttpConnection {
  #socket: Socket<HttpConnection> | null = null;
  #writer: SocketWriter | null = null;
  #exchange: Exchange | null = null;
  #status: number | null = null;
  /** Bytes of a head that has not come whole yet. */
  #head: Buffer | null = null;
  /** Body bytes still to come; -1: chunked. */
  #left = 0;
  #tail: Buffer = Buffer.alloc(0);
  #sawToken = false;
  #closed = false;
  /** Body bytes received since the connection opened, framing included. */
  bytes = 0;

  static async open(port: number): Promise<HttpConnection> {
    const connection = new HttpConnection();
    connection.#socket = await Bun.connect<HttpConnection>({
      hostname: '127.0.0.1',
      port,
      data: connection,
      socket: {
        data: (socket, bytes) => socket.data.#receive(bytes),
        drain: (socket) => socket.data.#writer?.drain(),
        close: (socket) => socket.data.#lost(),
        error: (socket) => socket.data.#lost(),
      },
    });
    connection.#writer = new SocketWriter(connection.#socket);
    return connection;
  }

  get usable(): boolean {
    return !this.#closed && this.#exchange === null;
  }

  send(request: Buffer, exchange: Exchange): void {
    this.#exchange = exchange;
    this.#status = null;
    this.#sawToken = false;
    this.#writer?.write(request);
  }

  close(): void {
    this.#exchange = null;
    this.#closed = true;
    this.#socket?.end();
  }

  #receive(bytes: Buffer): void {
    if (this.#exchange === null) return;
    let body = bytes;
    if (this.#status === null) {
      const data = this.#head === null ? bytes : Buffer.concat([this.#head, bytes]);
      const headEnd = data.indexOf(HEAD_END);
      if (headEnd === -1) {
        this.#head = Buffer.from(data);
        return;
      }
      this.#head = null;
      this.#readHead(data.toString('latin1', 0, headEnd));
      body = data.subarray(headEnd + HEAD_END.length);
    }
    this.#readBody(body);
  }

  #readHead(head: string): void {
    this.#status = Number(head.slice(9, 12));
    const length = LENGTH.exec(head);
    this.#left = length !== null ? Number(length[1]) : CHUNKED.test(head) ? -1 : 0;
    this.#tail = Buffer.alloc(0);
  }

  #readBody(body: Buffer): void {
    this.bytes += body.length;
    if (!this.#sawToken && this.#exchange?.onFirstToken !== undefined && body.includes(TOKEN_BYTES)) {
      this.#sawToken = true;
      this.#exchange.onFirstToken();
    }
    if (this.#left === -1) {
      if (this.#endsChunked(body)) this.#finish();
      return;
    }
    this.#left -= body.length;
    if (this.#left <= 0) this.#finish();
  }

  #endsChunked(body: Buffer): boolean {
    const size = LAST_CHUNK.length;
    if (body.length >= size) this.#tail = Buffer.from(body.subarray(-size));
    else this.#tail = Buffer.concat([this.#tail, body]).subarray(-size);
    return this.#tail.equals(LAST_CHUNK);
  }

  #finish(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onEnd(this.#status === 200, this.#status);
  }

  #lost(): void {
    this.#closed = true;
    const exchange = this.#exchange;
    this.#exchange = null;
    exchange?.onEnd(false, this.#status);
  }
}
