import type { Caller } from '../core/caller.ts';
import type { Logger } from '../core/logger.ts';
import type { Outcome, OutcomeSink } from '../core/outcome.ts';
import type { Log, LogFormat } from './log.ts';
import { callerFields, requestFields, requestSentence } from './request-line.ts';

export interface RequestLogOptions {
  readonly log: Log;
  readonly format: LogFormat;
  /** Adds the request's body, as sent. Default of the product: off, since bodies are private. */
  readonly logRequests: boolean;
  /** Writes the bodies of replies. Default of the product: off. */
  readonly logResponses: boolean;
}

/** Collects one reply's body. Call `write` for each piece and `end` once, however the reply ended. */
export interface BodyTap {
  write(bytes: Uint8Array): void;
  end(): void;
}

export interface RequestLog extends OutcomeSink {
  /** Null unless replies are logged, so that the ordinary path does nothing at all. */
  tapResponse(requestId: string, caller: Caller): BodyTap | null;
}

/** Bytes of a body that are logged; the rest is only counted. */
export const LOGGED_BODY_BYTES = 64 * 1024;

/** One INFO line a request, derived from its outcome; bodies only when asked for. */
export function createRequestLog(options: RequestLogOptions): RequestLog {
  const { log, format, logRequests, logResponses } = options;
  return {
    record(outcome) {
      if (!log.infoWritten) return;
      const { rawBody } = outcome.request;
      const body = logRequests && rawBody !== null ? bodyFields('request_body', rawBody) : {};
      if (format === 'readable') log.info(body, requestSentence(outcome));
      else log.info(Object.assign(requestFields(outcome), body), MESSAGES[outcome.kind]);
    },
    tapResponse: (requestId, caller) => (logResponses ? createTap(log, requestId, caller) : null),
  };
}

const MESSAGES: Readonly<Record<Outcome['kind'], string>> = {
  served: 'request served',
  cut: 'reply cut short',
  abandoned: 'client went away',
  exhausted: 'every attempt failed',
  refused: 'request refused',
};

function createTap(log: Logger, requestId: string, caller: Caller): BodyTap {
  const pieces: Uint8Array[] = [];
  let keptBytes = 0;
  let totalBytes = 0;
  let ended = false;
  return {
    write(bytes) {
      totalBytes += bytes.length;
      const room = LOGGED_BODY_BYTES - keptBytes;
      if (ended || room <= 0) return;
      // Copied: the caller may reuse its buffer, and a slice would keep a large one alive.
      const kept = bytes.slice(0, room);
      pieces.push(kept);
      keptBytes += kept.length;
    },
    end() {
      if (ended) return;
      ended = true;
      const fields = bodyFields('response_body', Buffer.concat(pieces), totalBytes);
      log.info({ request_id: requestId, ...callerFields(caller), ...fields }, 'reply body');
    },
  };
}

function bodyFields(name: string, bytes: Uint8Array, totalBytes = bytes.length): Record<string, unknown> {
  const text = new TextDecoder().decode(bytes.subarray(0, LOGGED_BODY_BYTES));
  return totalBytes > LOGGED_BODY_BYTES ? { [name]: text, [`${name}_total_bytes`]: totalBytes } : { [name]: text };
}
