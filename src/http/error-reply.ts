import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { NoRoute } from '../core/plan.ts';
import type { HttpError } from './http-error.ts';

/** OpenAI's error envelope, which its SDKs map to their exception classes by the HTTP status. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

export interface ErrorReply {
  readonly status: number;
  readonly body: ErrorBody;
  readonly headers: Readonly<Record<string, string>>;
}

/** Any refusal of ours → the caller's dialect. Pure, like everything here. */
export function httpErrorReply(error: HttpError): ErrorReply {
  return {
    status: error.status,
    body: envelope(error.message, typeOf(error.status), error.param, error.code),
    headers: error.headers,
  };
}

export function noRouteReply(noRoute: NoRoute): ErrorReply {
  const param = OF_THE_MODEL.has(noRoute.code) ? 'model' : null;
  return {
    status: noRoute.status,
    body: envelope(noRoute.message, typeOf(noRoute.status), param, noRoute.code),
    headers: noRoute.retryAfterMs === null ? {} : retryAfter(noRoute.retryAfterMs),
  };
}

const OF_THE_MODEL: ReadonlySet<string> = new Set(['model_not_found', 'model_not_allowed', 'place_not_allowed']);

/** Every attempt failed: what the last one means for the client, and that its SDK must not multiply our attempts by its own. */
export function exhaustedReply(error: UpstreamError, attempts: number): ErrorReply {
  const headers: Record<string, string> = { 'x-should-retry': 'false', 'x-swarmrouter-attempts': String(attempts) };
  if (error.retryAfterMs !== null) Object.assign(headers, retryAfter(error.retryAfterMs));
  return { status: clientStatus(error), body: errorBodyOf(error), headers };
}

/** The same error as an event inside a stream that has already begun. */
export function errorBodyOf(error: UpstreamError): ErrorBody {
  const rule = FAILURE_RULES[error.kind];
  const code = error.kind === 'rejected' && error.upstreamCode !== null ? error.upstreamCode : rule.clientCode;
  const param = error.kind === 'contextTooLong' ? (error.param ?? 'messages') : error.param;
  return envelope(error.message, rule.clientType, param, code);
}

/** A client's own mistake keeps the status that the upstream gave it (400, 413, 422). */
function clientStatus(error: UpstreamError): number {
  const ownMistake = error.kind === 'rejected' && error.status !== null && error.status >= 400 && error.status < 500;
  return ownMistake && error.status !== null ? error.status : FAILURE_RULES[error.kind].clientStatus;
}

function envelope(message: string, type: string, param: string | null, code: string): ErrorBody {
  return { error: { message, type, param, code } };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

function retryAfter(delayMs: number): Record<string, string> {
  return {
    'retry-after': String(Math.max(1, Math.ceil(delayMs / 1000))),
    'retry-after-ms': String(Math.ceil(delayMs)),
  };
}
