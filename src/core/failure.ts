import type { Secret } from './secret.ts';

/** What to do about a failure of one attempt. */
export interface FailureRule {
  /** May another target hide it? `false`: it is the client's own mistake, or its own decision. */
  readonly tryNext: boolean;
  /** May the same target be asked again after a pause, when there is no other? Only where the request was surely not processed. */
  readonly trySameAgain: boolean;
  /** `down`: out of rotation until a probe succeeds · `counts`: several in a row do that · `no`: says nothing about health. */
  readonly hurtsHealth: 'down' | 'counts' | 'no';
  /** Status for the client when nothing else could answer. */
  readonly clientStatus: number;
  /** OpenAI's `error.type`. */
  readonly clientType: string;
  /** OpenAI's `error.code`. */
  readonly clientCode: string;
  readonly meaning: string;
}

/** The list of failure kinds is the table of what to do about each: a kind without a rule does not compile. */
export const FAILURE_RULES = {
  unreachable: {
    tryNext: true,
    trySameAgain: true,
    hurtsHealth: 'down',
    clientStatus: 503,
    clientType: 'server_error',
    clientCode: 'target_unreachable',
    meaning: 'no connection: refused, no such host, TLS failure, connect timeout',
  },
  timeout: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'counts',
    clientStatus: 504,
    clientType: 'server_error',
    clientCode: 'upstream_timeout',
    meaning: 'connected, but no reply, no first token or no further chunk in time',
  },
  overloaded: {
    tryNext: true,
    trySameAgain: true,
    hurtsHealth: 'no',
    clientStatus: 429,
    clientType: 'rate_limit_error',
    clientCode: 'rate_limit_exceeded',
    meaning: 'rate limit or overload: later, or elsewhere now',
  },
  outOfQuota: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 502,
    clientType: 'server_error',
    clientCode: 'upstream_quota_exhausted',
    meaning: "the operator's account at the provider is out of credit or quota; waiting does not help",
  },
  badCredentials: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 502,
    clientType: 'server_error',
    clientCode: 'upstream_auth_failed',
    meaning: "the operator's key at the provider was refused; never shown as the client's own 401",
  },
  modelMissing: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 404,
    clientType: 'invalid_request_error',
    clientCode: 'model_not_found',
    meaning: 'the target does not have the model',
  },
  modelLoading: {
    tryNext: true,
    trySameAgain: true,
    hurtsHealth: 'no',
    clientStatus: 503,
    clientType: 'server_error',
    clientCode: 'model_loading',
    meaning: 'the target is up and loading the model',
  },
  contextTooLong: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 400,
    clientType: 'invalid_request_error',
    clientCode: 'context_length_exceeded',
    meaning: "the prompt does not fit the model's context on that target; another may hold it",
  },
  overBudget: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 429,
    clientType: 'insufficient_quota',
    clientCode: 'insufficient_quota',
    meaning: 'the call may cost more than is left of a budget; a cheaper target may still be asked',
  },
  unbillable: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 503,
    clientType: 'server_error',
    clientCode: 'ledger_unavailable',
    meaning: 'a hard budget applies, and the store that knows what is left of it does not answer',
  },
  filtered: {
    tryNext: false,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 400,
    clientType: 'invalid_request_error',
    clientCode: 'content_filter',
    meaning: "a provider's content filter refused the prompt; going to a laxer one would be evasion",
  },
  rejected: {
    tryNext: false,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 400,
    clientType: 'invalid_request_error',
    clientCode: 'invalid_request',
    meaning: "the request itself is wrong (400, 413, 422): the client's mistake",
  },
  failed: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'counts',
    clientStatus: 502,
    clientType: 'server_error',
    clientCode: 'upstream_error',
    meaning: 'the server failed: 5xx, an error inside a 200, a reset after the request was sent',
  },
  malformed: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'counts',
    clientStatus: 502,
    clientType: 'server_error',
    clientCode: 'upstream_invalid_response',
    meaning: 'the reply is not what the wire promises: bad JSON, HTML, nothing in it, a redirect',
  },
  truncated: {
    tryNext: true,
    trySameAgain: false,
    hurtsHealth: 'counts',
    clientStatus: 502,
    clientType: 'server_error',
    clientCode: 'upstream_truncated',
    meaning: 'the reply ended before its end marker',
  },
  cancelled: {
    tryNext: false,
    trySameAgain: false,
    hurtsHealth: 'no',
    clientStatus: 499,
    clientType: 'invalid_request_error',
    clientCode: 'client_closed_request',
    meaning: 'the client went away',
  },
} as const satisfies Record<string, FailureRule>;

export type FailureKind = keyof typeof FAILURE_RULES;

/** Everything that can go wrong between us and a target, classified where it was seen. Match on `kind`, never on the text. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: FailureKind;
  /** HTTP status of the upstream's reply; null: there was none. */
  readonly status: number | null;
  /** The upstream's own machine-readable code, when it sent one. */
  readonly upstreamCode: string | null;
  /** How long the upstream asked us to wait; null: it did not say. */
  readonly retryAfterMs: number | null;
  /** The request field at fault, when the upstream named one. */
  readonly param: string | null;

  constructor(
    kind: FailureKind,
    message: string,
    details: {
      readonly status?: number | null;
      readonly upstreamCode?: string | null;
      readonly retryAfterMs?: number | null;
      readonly param?: string | null;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.status = details.status ?? null;
    this.upstreamCode = details.upstreamCode ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.param = details.param ?? null;
  }
}

/** Of these the words are the gateway's own, unless a server replied. */
const OWN_WORDS: ReadonlySet<FailureKind> = new Set(['unreachable', 'timeout', 'truncated', 'cancelled']);

/** What is kept of an error: servers like to repeat what they were sent, so their words are for the log and the client alone. */
export function wordsToKeep(kind: FailureKind, message: string, status: number | null): string {
  return OWN_WORDS.has(kind) && status === null ? message : FAILURE_RULES[kind].meaning;
}

/**
 * The same error without the provider's key: servers repeat a key that they refuse, and an error's words reach the
 * client, the log and the status page.
 */
export function withoutSecret(error: UpstreamError, secret: Secret | null): UpstreamError {
  const value = secret === null ? '' : secret.reveal();
  const said = [error.message, error.param, error.upstreamCode];
  if (value === '' || !said.some((text) => text?.includes(value))) return error;
  const clean = (text: string): string => text.replaceAll(value, '[secret]');
  const { kind, status, retryAfterMs, param, upstreamCode } = error;
  return new UpstreamError(kind, clean(error.message), {
    status,
    retryAfterMs,
    param: param === null ? null : clean(param),
    upstreamCode: upstreamCode === null ? null : clean(upstreamCode),
  });
}
