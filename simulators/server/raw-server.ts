import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Connection, type RequestHandler } from './connection.ts';

/**
 * An HTTP/1.1 server that owns every byte, because half of what a simulator must do (reset, cut, stall, one byte a
 * write) a polite HTTP server does not let it do.
 */
export class RawServer {
  readonly #host: string;
  readonly #handle: RequestHandler;
  readonly #idleMs: () => number | null;
  readonly #connections = new Map<Socket, Connection>();
  #server: Server | null = null;
  #port: number;

  constructor(options: { host: string; port: number; handle: RequestHandler; idleMs: () => number | null }) {
    this.#host = options.host;
    this.#port = options.port;
    this.#handle = options.handle;
    this.#idleMs = options.idleMs;
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Harmless while it listens. The second time it takes the port of the first. */
  async listen(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: this.#port, host: this.#host, backlog: 4096 }, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
  }

  /** New connections are refused from now on; idle ones close, busy ones after their answer. */
  refuse(): void {
    // The listener is gone at once; its end would also wait for the busy connections.
    void this.#closeListener();
    for (const connection of this.#connections.values()) connection.finish();
  }

  async kill(): Promise<void> {
    const closed = this.#closeListener();
    for (const connection of this.#connections.values()) connection.reset();
    this.#connections.clear();
    await closed;
  }

  #accept(socket: Socket): void {
    this.#connections.set(socket, new Connection(socket, this.#handle, this.#idleMs));
    socket.on('close', () => this.#connections.delete(socket));
  }

  #closeListener(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return Promise.resolve();
    return new Promise((resolve) => server.close(() => resolve()));
  }
}
