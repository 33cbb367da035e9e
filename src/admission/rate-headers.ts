import type { MinuteWindow } from './minute-window.ts';
import type { ScopeUse } from './scope-use.ts';

/** `x-ratelimit-*` as OpenAI sends them: of each limit the scope that has least left. Pure. */
export function rateHeaders(scopes: readonly ScopeUse[], nowMs: number): Record<string, string> {
  const headers: Record<string, string> = {};
  addHeaders(headers, REQUESTS, scopes, nowMs);
  addHeaders(headers, TOKENS, scopes, nowMs);
  return headers;
}

/** The names as they are: put together for each reply they would cost more than what they tell. */
const REQUESTS = {
  limitName: 'rpm',
  counted: 'requests',
  limit: 'x-ratelimit-limit-requests',
  remaining: 'x-ratelimit-remaining-requests',
  reset: 'x-ratelimit-reset-requests',
} as const;
const TOKENS = {
  limitName: 'tpm',
  counted: 'tokens',
  limit: 'x-ratelimit-limit-tokens',
  remaining: 'x-ratelimit-remaining-tokens',
  reset: 'x-ratelimit-reset-tokens',
} as const;

function addHeaders(
  headers: Record<string, string>,
  names: typeof REQUESTS | typeof TOKENS,
  scopes: readonly ScopeUse[],
  nowMs: number,
): void {
  const { limitName, counted } = names;
  let tightest: MinuteWindow | null = null;
  let limit = 0;
  let remaining = Number.POSITIVE_INFINITY;
  for (const { limits, counter } of scopes) {
    const own = limits[limitName];
    if (own === null) continue;
    const window = counter[counted];
    const left = Math.max(0, own - window.total(nowMs));
    if (left >= remaining) continue;
    tightest = window;
    limit = own;
    remaining = left;
  }
  if (tightest === null) return;
  headers[names.limit] = String(limit);
  headers[names.remaining] = String(remaining);
  headers[names.reset] = durationText(tightest.msUntilEmpty(nowMs));
}

/**
 * A duration as OpenAI writes it: `250ms`, `8.64s`, `6m0s`.
 * @param durationMs ≥ 0; parts of a millisecond are rounded up: who comes back then must not be early.
 */
export function durationText(durationMs: number): string {
  const wholeMs = Math.ceil(durationMs);
  if (wholeMs === 0) return '0s';
  if (wholeMs < 1000) return `${wholeMs}ms`;
  const minutes = Math.floor(wholeMs / 60_000);
  const seconds = (wholeMs % 60_000) / 1000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}
