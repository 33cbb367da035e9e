/**
 * A model server that answers as fast as a socket allows: constant bytes, no JSON, no HTTP library. The simulators
 * check what they receive and would be the bottleneck of a measurement; this one must not be.
 *
 * `GET /v1/models` · `POST /v1/chat/completions` · `POST /control` (UpstreamPace) · `GET /control` (UpstreamStats)
 */
import type { Socket } from 'bun';
import { SocketWriter } from './socket-writer.ts';
import { StreamTicker, type TickedStream } from './stream-ticker.ts';
import {
  DONE_EVENT,
  FINISH_EVENT,
  httpChunk,
  LAST_HTTP_CHUNK,
  modelList,
  ROLE_EVENT,
  TOKEN_EVENT,
  USAGE_EVENT,
  wholeReply,
} from './wire.ts';

/** How streams that begin from now on run. */
export interface UpstreamPace {
  /** Content events of one stream, ≥ 1. */
  readonly tokens: number;
  /** Milliseconds between two of them, a whole number; 0: all at once, in one write. */
  readonly intervalMs: number;
}

export interface UpstreamStats {
  readonly requests: number;
  /** Streams open now. */
  readonly streams: number;
  /** Most streams open at once since the last `POST /control`. */
  readonly peakStreams: number;
  /** Content events of paced streams written since the start. */
  readonly tokens: number;
}

interface Connection {
  readonly writer: SocketWriter;
  /** Bytes of a request that has not come whole yet. */
  unread: Buffer | null;
  stream: TickedStream | null;
}

const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n';
const HEAD_END = Buffer.from('\r\n\r\n');

const WHOLE = json(wholeReply());
const MODELS = json(modelList());
const NOT_FOUND = json('{"error":{"message":"no such path","type":"invalid_request_error"}}', '404 Not Found');
const TOKEN_BYTES = Buffer.from(httpChunk(TOKEN_EVENT));
const BEGIN_BYTES = Buffer.from(STREAM_HEAD + httpChunk(ROLE_EVENT + TOKEN_EVENT));
const END_BYTES = endOfStream(false);
const END_WITH_USAGE_BYTES = endOfStream(true);

let pace: UpstreamPace = { tokens: 16, intervalMs: 0 };
let atOnce = streamsAtOnce(pace.tokens);
let requests = 0;
let peakStreams = 0;
const ticker = new StreamTicker(TOKEN_BYTES);

function json(body: string, status = '200 OK'): Buffer {
  return Buffer.from(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function endOfStream(withUsage: boolean): Buffer {
  const events = FINISH_EVENT + (withUsage ? USAGE_EVENT : '') + DONE_EVENT;
  return Buffer.from(httpChunk(events) + LAST_HTTP_CHUNK);
}

function streamsAtOnce(tokens: number): { readonly plain: Buffer; readonly withUsage: Buffer } {
  // Each event its own HTTP chunk, as servers write them, but in one go.
  const begin = STREAM_HEAD + httpChunk(ROLE_EVENT) + httpChunk(TOKEN_EVENT).repeat(Math.min(tokens, 10_000));
  return {
    plain: Buffer.concat([Buffer.from(begin), END_BYTES]),
    withUsage: Buffer.concat([Buffer.from(begin), END_WITH_USAGE_BYTES]),
  };
}

/** Takes whole requests off the connection's bytes; keeps the rest. */
function receive(connection: Connection, bytes: Buffer): void {
  let data = connection.unread === null ? bytes : Buffer.concat([connection.unread, bytes]);
  connection.unread = null;
  while (data.length > 0) {
    const headEnd = data.indexOf(HEAD_END);
    const length = headEnd === -1 ? Number.POSITIVE_INFINITY : bodyLength(data.toString('latin1', 0, headEnd));
    const end = headEnd + HEAD_END.length + length;
    if (data.length < end) {
      // The socket's buffer is used again after this call.
      connection.unread = Buffer.from(data);
      return;
    }
    answer(connection, data.toString('latin1', 0, data.indexOf(0x0d)), data.subarray(headEnd + HEAD_END.length, end));
    data = data.subarray(end);
  }
}

function bodyLength(head: string): number {
  const match = /\r\ncontent-length: *(\d+)/i.exec(head);
  return match === null ? 0 : Number(match[1]);
}

function answer(connection: Connection, requestLine: string, body: Buffer): void {
  if (requestLine.startsWith('POST /v1/chat/completions')) answerChat(connection, body);
  else connection.writer.write(answerOther(requestLine, body));
}

function answerChat(connection: Connection, body: Buffer): void {
  requests++;
  if (body.includes('"stream":true')) beginStream(connection, body.includes('"include_usage":true'));
  else connection.writer.write(WHOLE);
}

function answerOther(requestLine: string, body: Buffer): Buffer {
  if (requestLine.startsWith('GET /v1/models')) return MODELS;
  if (requestLine.startsWith('POST /control')) changePace(JSON.parse(body.toString()) as UpstreamPace);
  else if (!requestLine.startsWith('GET /control')) return NOT_FOUND;
  const stats: UpstreamStats = { requests, streams: ticker.open, peakStreams, tokens: ticker.tokens };
  return json(JSON.stringify(stats));
}

function beginStream(connection: Connection, withUsage: boolean): void {
  if (pace.intervalMs === 0) {
    connection.writer.write(withUsage ? atOnce.withUsage : atOnce.plain);
    return;
  }
  connection.writer.write(BEGIN_BYTES);
  connection.stream = ticker.add(connection.writer, {
    tokens: pace.tokens - 1,
    intervalMs: pace.intervalMs,
    end: withUsage ? END_WITH_USAGE_BYTES : END_BYTES,
  });
  peakStreams = Math.max(peakStreams, ticker.open);
}

function changePace(next: UpstreamPace): void {
  pace = next;
  atOnce = streamsAtOnce(next.tokens);
  peakStreams = ticker.open;
}

function drop(socket: Socket<Connection>): void {
  socket.data.stream?.drop();
  socket.data.stream = null;
}

const server = Bun.listen<Connection>({
  hostname: '127.0.0.1',
  port: 0,
  socket: {
    open(socket) {
      socket.data = { writer: new SocketWriter(socket), unread: null, stream: null };
    },
    data: (socket, bytes) => receive(socket.data, bytes),
    drain: (socket) => socket.data.writer.drain(),
    close: drop,
    error: drop,
  },
});
console.log(server.port);
