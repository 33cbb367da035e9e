/**
 * What can be wrong with an upstream, by the ids of docs/reference faults (F-01 to F-37).
 *
 * `afterChunks` counts the stream's events with content (text, reasoning, tool call): 0 sends the headers and the
 * role, and nothing that a client could show. Faults of streams leave whole replies alone and the other way round,
 * unless said otherwise.
 */
export type FaultKind =
  /** F-20 to F-26: any status, with a body in the wire's error shape unless one is given. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Record<string, string>;
    }
  /** F-01: the port is closed, idle connections are dropped; running answers finish. */
  | { readonly kind: 'refuse' }
  /** F-04: answers with bytes that are not HTTP. */
  | { readonly kind: 'junk' }
  /** F-06: reads the request and never answers. */
  | { readonly kind: 'hang' }
  /** F-07: status line and headers, then silence. Whole replies too. */
  | { readonly kind: 'headers-only' }
  /** F-07: comments for ever, no content. */
  | { readonly kind: 'comments-only'; readonly everyMs?: number }
  /** F-08: stops sending and keeps the connection. `comments`: sends those instead of silence. */
  | { readonly kind: 'stall'; readonly afterChunks: number; readonly commentsEveryMs?: number }
  /** F-10, F-33: resets the connection before a single byte of the answer. */
  | { readonly kind: 'reset-before-headers' }
  /** F-10: resets the connection in the middle of a stream. */
  | { readonly kind: 'reset'; readonly afterChunks: number }
  /** F-10, F-13: resets the connection after this many bytes of the body. Whole replies too. */
  | { readonly kind: 'reset-after-bytes'; readonly bytes: number }
  /** F-11: a proper end of the HTTP body without `[DONE]` and without a finish reason. */
  | { readonly kind: 'clean-end'; readonly afterChunks: number }
  /** F-11: closes the connection without the last chunk of the chunked body. */
  | { readonly kind: 'cut'; readonly afterChunks: number }
  /** F-12: an error inside a 200 stream, as `data: {"error":…}` or as `event: error`; then the stream ends. */
  | {
      readonly kind: 'error-in-stream';
      readonly afterChunks: number;
      readonly shape?: 'data' | 'event';
      readonly error?: unknown;
    }
  /** F-19: status 200 whose JSON body is an error. Streams too. */
  | { readonly kind: 'error-with-200'; readonly body?: unknown }
  /** F-19: the role and `[DONE]`, no content, no finish reason worth the name (LM Studio's context overflow). Whole replies: empty content. */
  | { readonly kind: 'empty' }
  /** F-19: `choices: []`, whole and streamed. */
  | { readonly kind: 'empty-choices' }
  /** F-13: a data line that is no JSON. */
  | { readonly kind: 'bad-json-line'; readonly afterChunks: number }
  /** F-13: a whole reply cut short, under a content-length that agrees with the cut. */
  | { readonly kind: 'truncated-json'; readonly keepBytes?: number }
  /** F-13: streams end in the middle of a data line, properly closed. */
  | { readonly kind: 'truncated-line'; readonly afterChunks: number }
  /** F-18: an HTML page with status 200. */
  | { readonly kind: 'html' }
  /** F-18: a whole JSON reply although a stream was asked for. */
  | { readonly kind: 'json-for-stream' }
  /** F-18: a stream although a whole reply was asked for. */
  | { readonly kind: 'stream-for-whole' }
  /** F-15: a data line of this many bytes, then the rest of the stream. */
  | { readonly kind: 'giant-line'; readonly bytes: number; readonly afterChunks?: number }
  /** F-29. Status 302 unless given. */
  | { readonly kind: 'redirect'; readonly location: string; readonly status?: number }
  /** F-09: waits before it answers. */
  | { readonly kind: 'slow'; readonly extraMs: number }
  /** F-17: a gzip body that nobody asked for. Whole replies and streams. */
  | { readonly kind: 'gzip' }
  /** F-33: closes the connection this long after the answer, without a hint; 0: at once. */
  | { readonly kind: 'close-after-answer'; readonly afterMs: number }
  /** F-14, F-16: the same stream in small writes and another dialect of line ends. */
  | {
      readonly kind: 'split-writes';
      /** 1 or more. Default 1. */
      readonly bytesPerWrite?: number;
      readonly lineEnding?: 'lf' | 'crlf' | 'cr';
      readonly byteOrderMark?: boolean;
    };

/** Which requests meet it: `inference` (default), `listing` (health, models and the like), or `all` (F-37: probes that lie). */
export type FaultScope = 'inference' | 'listing' | 'all';

export type Fault = FaultKind & { readonly scope?: FaultScope };

export const FAULT_KINDS: readonly Fault['kind'][] = [
  'status',
  'refuse',
  'junk',
  'hang',
  'headers-only',
  'comments-only',
  'stall',
  'reset-before-headers',
  'reset',
  'reset-after-bytes',
  'clean-end',
  'cut',
  'error-in-stream',
  'error-with-200',
  'empty',
  'empty-choices',
  'bad-json-line',
  'truncated-json',
  'truncated-line',
  'html',
  'json-for-stream',
  'stream-for-whole',
  'giant-line',
  'redirect',
  'slow',
  'gzip',
  'close-after-answer',
  'split-writes',
];
