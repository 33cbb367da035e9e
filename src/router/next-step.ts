import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { PlanStep } from '../core/plan.ts';

export interface FailedAttempt {
  readonly error: UpstreamError;
  readonly step: PlanStep;
  /** Steps of the plan that were not tried. */
  readonly untried: number;
  /** Attempts that the retry limit still allows. */
  readonly attemptsLeft: number;
  /** Tries of this target so far, this one included. */
  readonly triesOfTarget: number;
  /** Since the first time that this target said that it is loading; 0: now. */
  readonly loadingForMs: number;
  /** Until the reply must have begun. */
  readonly timeLeftMs: number;
  readonly retryDelayMs: number;
  /** 0 ≤ random < 1. */
  readonly random: number;
}

export type NextStep =
  | { readonly do: 'next' }
  /** `free`: does not use up the retry limit. */
  | { readonly do: 'same-again'; readonly delayMs: number; readonly free: boolean }
  | { readonly do: 'stop' };

const MAX_DELAY_MS = 30_000;
const LOADING_POLL_MS = 500;

/** What after a failed attempt? Pure; the failure table decides, the numbers only bound it. */
export function nextStep(failed: FailedAttempt): NextStep {
  const rule = FAILURE_RULES[failed.error.kind];
  if (!rule.tryNext) return { do: 'stop' };
  if (failed.untried > 0) return failed.attemptsLeft > 0 ? { do: 'next' } : { do: 'stop' };
  if (!rule.trySameAgain) return { do: 'stop' };
  return sameAgain(failed);
}

/** The only target: the same one again after a pause, where the request was surely not processed. */
function sameAgain(failed: FailedAttempt): NextStep {
  if (failed.error.kind === 'modelLoading' && failed.loadingForMs < failed.step.target.clocks.warmupMs) {
    return within(failed, { do: 'same-again', delayMs: failed.error.retryAfterMs ?? LOADING_POLL_MS, free: true });
  }
  if (failed.attemptsLeft <= 0) return { do: 'stop' };
  const backoffMs = Math.min(MAX_DELAY_MS, failed.retryDelayMs * 2 ** (failed.triesOfTarget - 1));
  // Half of it is random, so that clients which failed together do not come back together.
  const jitteredMs = backoffMs * (0.5 + failed.random / 2);
  const delayMs = Math.max(jitteredMs, failed.error.retryAfterMs ?? 0);
  return within(failed, { do: 'same-again', delayMs, free: false });
}

function within(failed: FailedAttempt, step: NextStep & { do: 'same-again' }): NextStep {
  return step.delayMs < failed.timeLeftMs ? step : { do: 'stop' };
}
