import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createGzip } from 'node:zlib';
import { type HttpRequest, parseRequest } from '../../simulators/server/http-request.ts';

/** One request and the bare socket that its answer goes to. */
export interface RawExchange {
  readonly request: HttpRequest;
  readonly socket: Socket;
  /** Which connection of the server this is, from 1. */
  readonly connection: number;
  /** Which request on its connection, from 1. */
  readonly turn: number;
}

export type RawAnswer = (exchange: RawExchange) => void | Promise<void>;

export interface RawServerOptions {
  /** What a chat request gets. */
  readonly chat: RawAnswer;
  /** What any other request gets. Default: a list of the one model `sim-model`. */
  readonly listing?: RawAnswer;
}

export interface RawServer {
  readonly port: number;
  /** What a target of kind `openai-compatible` is given. */
  readonly baseUrl: string;
  /** Chat requests so far. */
  readonly chats: readonly RawExchange[];
  /** Connections that are open. */
  connections(): number;
  stop(): Promise<void>;
}

/** A server that writes whatever a test wants, for what HTTP servers are too polite for. */
export async function startRawServer({ chat, listing = modelList }: RawServerOptions): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const chats: RawExchange[] = [];
  let accepted = 0;
  const server = createServer((socket) => {
    const connection = ++accepted;
    let turn = 0;
    let pending: Buffer = Buffer.alloc(0);
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      pending = Buffer.concat([pending, bytes]);
      for (let parsed = parseRequest(pending); parsed.state === 'complete'; parsed = parseRequest(pending)) {
        pending = pending.subarray(parsed.consumed);
        const exchange = { request: parsed.request, socket, connection, turn: ++turn };
        const isChat = parsed.request.method === 'POST';
        if (isChat) chats.push(exchange);
        void (isChat ? chat : listing)(exchange);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    baseUrl: `http://127.0.0.1:${port}/v1`,
    chats,
    connections: () => sockets.size,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const encoder = new TextEncoder();

/** A whole HTTP reply; `body` is framed by its length. */
export function httpReply(body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}): Buffer {
  const bytes = typeof body === 'string' ? encoder.encode(body) : body;
  const { status = '200 OK', ...rest } = headers;
  const lines = Object.entries({ 'content-type': 'application/json', ...rest, 'content-length': `${bytes.length}` });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Buffer.concat([encoder.encode(`HTTP/1.1 ${status}\r\n${head}\r\n`), bytes]);
}

/** A complete chat completion that says `content`. */
export function completion(content: string): string {
  const choice = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content } };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  return JSON.stringify({ id: 'c', object: 'chat.completion', model: 'sim-model', choices: [choice], usage });
}

/** One event with `content`; null: the end marker's finish reason instead. */
export function chunk(content: string | null): string {
  const choice =
    content === null
      ? { index: 0, delta: {}, finish_reason: 'stop' }
      : { index: 0, delta: { content }, finish_reason: null };
  return `data: ${JSON.stringify({ object: 'chat.completion.chunk', model: 'sim-model', choices: [choice] })}\n\n`;
}

/** The head of a chunked stream of events. */
export const STREAM_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

/** Bytes as one chunk of a chunked body. */
export function framed(bytes: string | Uint8Array): Buffer {
  const body = Buffer.from(bytes as string);
  return Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from('\r\n')]);
}

export const LAST_CHUNK = '0\r\n\r\n';

/** What a gzip body of `megabytes` of zeros looks like on the wire: about a thousandth of it. Never whole in memory. */
export async function gzipBomb(megabytes: number): Promise<Buffer> {
  const packed = createGzip();
  const pieces: Buffer[] = [];
  packed.on('data', (piece: Buffer) => pieces.push(piece));
  const ended = new Promise<void>((resolve) => packed.on('end', resolve));
  const zeros = Buffer.alloc(1 << 20);
  for (let written = 0; written < megabytes; written++) {
    if (!packed.write(zeros)) await new Promise<void>((resolve) => packed.once('drain', resolve));
  }
  packed.end();
  await ended;
  return Buffer.concat(pieces);
}

function modelList({ socket }: RawExchange): void {
  socket.write(httpReply(JSON.stringify({ object: 'list', data: [{ id: 'sim-model', object: 'model' }] })));
}

/** Writes until the socket is closed, at its pace. Resolves with the bytes that it took. */
export async function writeForEver(socket: Socket, bytes: string | Uint8Array, atMostBytes: number): Promise<number> {
  let sent = 0;
  while (!socket.destroyed && sent < atMostBytes) {
    sent += bytes.length;
    if (socket.write(bytes)) await new Promise((resolve) => setImmediate(resolve));
    else await drained(socket);
  }
  return sent;
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}
