import type { ScopeUse } from './scope-use.ts';

/** `x-ratelimit-*` as OpenAI sends them: of each limit the scope that has least left. Pure. */
export function rateHeaders(scopes: readonly ScopeUse[], nowMs: number): Record<string, string> {
  return { ...headersOf('rpm', 'requests', scopes, nowMs), ...headersOf('tpm', 'tokens', scopes, nowMs) };
}

function headersOf(
  limitName: 'rpm' | 'tpm',
  told: 'requests' | 'tokens',
  scopes: readonly ScopeUse[],
  nowMs: number,
): Record<string, string> {
  let headers: Record<string, string> = {};
  let least = Number.POSITIVE_INFINITY;
  for (const { limits, counter } of scopes) {
    const limit = limits[limitName];
    if (limit === null) continue;
    const remaining = Math.max(0, limit - counter[told].total(nowMs));
    if (remaining >= least) continue;
    least = remaining;
    headers = {
      [`x-ratelimit-limit-${told}`]: String(limit),
      [`x-ratelimit-remaining-${told}`]: String(remaining),
      [`x-ratelimit-reset-${told}`]: durationText(counter[told].msUntilAtMost(0, nowMs)),
    };
  }
  return headers;
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
