import type { MinuteWindow } from './minute-window.ts';
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
  let tightest: MinuteWindow | null = null;
  let [limit, remaining] = [0, Number.POSITIVE_INFINITY];
  for (const { limits, counter } of scopes) {
    const own = limits[limitName];
    if (own === null) continue;
    const left = Math.max(0, own - counter[told].total(nowMs));
    if (left < remaining) [tightest, limit, remaining] = [counter[told], own, left];
  }
  if (tightest === null) return {};
  return {
    [`x-ratelimit-limit-${told}`]: String(limit),
    [`x-ratelimit-remaining-${told}`]: String(remaining),
    [`x-ratelimit-reset-${told}`]: durationText(tightest.msUntilEmpty(nowMs)),
  };
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
