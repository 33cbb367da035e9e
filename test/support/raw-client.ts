import { connect } from 'node:net';

export interface RawConversation {
  /** Everything that came, as text of one byte a character. */
  received(): string;
  /** The server closed the connection. */
  readonly closed: Promise<void>;
  isClosed(): boolean;
  write(bytes: string | Uint8Array): void;
  /** Half-closes: nothing more will be sent. */
  finish(): void;
  destroy(): void;
}

/** A bare connection to the gateway, for what a client library would not send. */
export function talk(port: number, bytes: string | Uint8Array = ''): RawConversation {
  let received = '';
  let closed = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  if (bytes.length > 0) socket.write(bytes);
  socket.on('data', (piece: Buffer) => {
    received += piece.toString('latin1');
  });
  const onEnd = (): void => {
    closed = true;
    socket.destroy();
    resolve();
  };
  socket.on('end', onEnd);
  socket.on('close', onEnd);
  socket.on('error', () => undefined);
  return {
    received: () => received,
    closed: promise,
    isClosed: () => closed,
    write: (more) => void socket.write(more),
    finish: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}

/** A chat request as it stands on the wire. */
export function chatRequest(canary: string, headers = '', target = '/v1/chat/completions'): string {
  const body = JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: `canary:${canary}` }] });
  return `POST ${target} HTTP/1.1\r\nhost: localhost\r\n${headers}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
