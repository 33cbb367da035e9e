import { type FailureKind, UpstreamError } from '../../core/failure.ts';
import { type ErrorShape, findError } from './error-shape.ts';

/**
 * Kinds by the words that upstreams put into `code`, `type` or a more exact field. A word decides before the
 * status does: a 429 may mean wait, go elsewhere, or pay the bill.
 */
const KIND_BY_WORD: Readonly<Record<string, FailureKind>> = {
  insufficient_quota: 'outOfQuota',
  credit_balance_exhausted: 'outOfQuota',
  payment_required: 'outOfQuota',
  billing_error: 'outOfQuota',
  billing_hard_limit_reached: 'outOfQuota',
  invalid_api_key: 'badCredentials',
  authentication: 'badCredentials',
  authentication_error: 'badCredentials',
  permission_error: 'badCredentials',
  permission_denied: 'badCredentials',
  context_length_exceeded: 'contextTooLong',
  exceed_context_size_error: 'contextTooLong',
  content_filter: 'filtered',
  content_policy_violation: 'filtered',
  ResponsibleAIPolicyViolation: 'filtered',
  model_not_found: 'modelMissing',
  DeploymentNotFound: 'modelMissing',
  no_endpoints: 'modelMissing',
  model_deprecated: 'modelMissing',
  rate_limit_exceeded: 'overloaded',
  rate_limit_error: 'overloaded',
  RateLimitReached: 'overloaded',
  too_many_requests: 'overloaded',
  slow_down: 'overloaded',
  overloaded_error: 'overloaded',
  server_is_overloaded: 'overloaded',
  provider_overloaded: 'overloaded',
  capacity_exhausted: 'overloaded',
  temporarily_unavailable: 'overloaded',
  timeout_error: 'timeout',
};

/** Local servers tell an overflow only in words; every such pattern stands here and nowhere else. */
const CONTEXT_OVERFLOW =
  /context.?length|n_keep|n_ctx|maximum context|context size|exceeds? the context|when context the overflows|exceed_context|too many tokens|prompt is too long/i;
/** Servers that give a missing model no code of its own (Ollama, LM Studio). */
const MODEL_MISSING = /no endpoints found|\bmodel\b.*\bnot found\b|no models loaded|model\b.*\bdoes not exist/i;
const MODEL_LOADING = /loading model|model is (still |currently )?loading/i;

const MAX_MESSAGE_LENGTH = 500;
/** A message may be a megabyte, and these patterns may take the square of its length: what it means stands at its beginning. */
const MOST_JUDGED = 4_096;

export interface ErrorReply {
  /** HTTP status; null when the error came inside a stream. A 200 means: inside a whole reply. */
  readonly status: number | null;
  readonly retryAfterMs: number | null;
  /** The parsed body; the text as it is when it was no JSON. */
  readonly body: unknown;
  /** The target's id and address, for the message. */
  readonly where: string;
}

/** Any upstream error reply as an UpstreamError, by status, code and shape (protocols.md §5.6). */
export function normaliseError(reply: ErrorReply): UpstreamError {
  const shape = findError(reply.body) ?? shapeless(reply.body);
  const status = reply.status !== null && reply.status >= 400 ? reply.status : shape.status;
  const kind = kindOf(status, shape);
  return new UpstreamError(kind, wordsOf(kind, status, shape, reply.where), {
    status,
    upstreamCode: shape.code ?? shape.detail ?? shape.type,
    retryAfterMs: reply.retryAfterMs,
    param: shape.param,
  });
}

function shapeless(body: unknown): ErrorShape {
  const text = typeof body === 'string' ? body.trim() : '';
  // An HTML page says nothing that a client should read.
  const message = text === '' || text.startsWith('<') ? 'the server gave no message' : text;
  return { message, code: null, type: null, param: null, status: null, detail: null };
}

function kindOf(status: number | null, shape: ErrorShape): FailureKind {
  for (const word of [shape.detail, shape.code, shape.type]) {
    if (word === null) continue;
    // The word comes from outside: `constructor` must not be found on the object's prototype.
    const kind = Object.hasOwn(KIND_BY_WORD, word) ? KIND_BY_WORD[word] : undefined;
    if (kind !== undefined) return kind;
    if (word.includes('spend_limit')) return 'outOfQuota';
  }
  const message = shape.message.slice(0, MOST_JUDGED);
  if (saysSo(status) && CONTEXT_OVERFLOW.test(message)) return 'contextTooLong';
  if (MODEL_LOADING.test(message)) return 'modelLoading';
  if ((status === 404 || status === 400 || status === null) && MODEL_MISSING.test(message)) return 'modelMissing';
  return status === null ? 'failed' : kindOfStatus(status);
}

/** Statuses under which an overflow text is about the prompt: rate limits and refused keys speak of tokens too. */
function saysSo(status: number | null): boolean {
  return status === null || status === 400 || status === 413 || status === 422 || status === 500;
}

function kindOfStatus(status: number): FailureKind {
  switch (status) {
    case 400:
    case 413:
    case 422:
      return 'rejected';
    case 401:
    case 403:
      return 'badCredentials';
    case 402:
      return 'outOfQuota';
    case 408:
      return 'timeout';
    // A conflict or "too early": not processed now, but perhaps in a moment.
    case 409:
    case 425:
    case 429:
    case 503:
    case 529:
      return 'overloaded';
    default:
      return 'failed';
  }
}

function wordsOf(kind: FailureKind, status: number | null, shape: ErrorShape, where: string): string {
  const said = scrub(shape.message);
  if (kind === 'failed' && status === 404) {
    return `${where} has no such path (404): check the target's base URL. It said: ${said}`;
  }
  return said;
}

/** Keys that upstreams repeat in their messages ("Incorrect API key provided: sk-…") must not reach logs or clients. */
const KEY_SHAPES = [
  /\b(sk|pk|rk|gsk|xai|hf|AIza|key)[-_][A-Za-z0-9*._:-]{6,}/g,
  /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=:-]{6,}/gi,
  /\b(api[-_ ]?key)["']?\s*[:=]\s*["']?[A-Za-z0-9._~+/=-]{6,}/gi,
];

/** An upstream's message, without keys and cut at 500 characters. */
export function scrub(message: string): string {
  // Cut twice: a pattern must not run over a megabyte, and a replacement must not lengthen the result.
  let text = message.slice(0, 4 * MAX_MESSAGE_LENGTH);
  for (const shape of KEY_SHAPES) text = text.replace(shape, '$1…');
  return text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH - 1)}…`;
}
