/** Sees what the client is sent. */
export interface ResponseTap {
  write(bytes: Uint8Array): void;
  end(): void;
}

/** Where a request came from. */
export interface RequestOrigin {
  /** Null: not known. */
  readonly requestId: string | null;
  /** Of the client: the connection's other end, or whom trusted proxies say that it speaks for. Null: not known. */
  readonly peerAddress: string | null;
}

/** How an admin request came in. */
export interface AdminConnection extends RequestOrigin {
  readonly setIdleTimeout: SetIdleTimeout;
}

/** How long a request's connection may be without a byte in either direction before it is closed, s; 0: for ever. */
export type SetIdleTimeout = (seconds: number) => void;
