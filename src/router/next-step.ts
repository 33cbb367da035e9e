import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';

/** A step that was surely not processed and may be asked again. */
export interface Retryable {
  /** How long until then, ms; ≤ 0: now. */
  readonly readyInMs: number;
}

export interface AfterFailure {
  readonly error: UpstreamError;
  /** Steps of the plan that were not tried. */
  readonly untried: number;
  /** Attempts that the retry limit still allows. */
  readonly attemptsLeft: number;
  /** Steps that may be asked again, this one included where that holds for it. */
  readonly retryable: readonly Retryable[];
  /** Until the target's warm-up limit is over; ≤ 0: it is. Counts for a model that is loading. */
  readonly warmupLeftMs: number;
  /** Until the reply must have begun. */
  readonly timeLeftMs: number;
}

export type NextStep =
  | { readonly do: 'next' }
  /** The target is loading: it is asked once it is done, if nobody else has answered by then. Costs no retry. */
  | { readonly do: 'await-loading' }
  /** The step of `retryable` that is ready first. */
  | { readonly do: 'again'; readonly index: number }
  | { readonly do: 'stop' };

/** What after a failed attempt? Pure; the failure table decides, the numbers only bound it. */
export function nextStep(failed: AfterFailure): NextStep {
  const { error, untried, attemptsLeft } = failed;
  if (!FAILURE_RULES[error.kind].tryNext) return { do: 'stop' };
  if (error.kind === 'modelLoading' && failed.warmupLeftMs > 0 && failed.timeLeftMs > 0) {
    return { do: 'await-loading' };
  }
  if (attemptsLeft <= 0) return { do: 'stop' };
  return untried > 0 ? { do: 'next' } : again(failed);
}

/** Nobody else is left: one that was surely not processed before, as soon as it may be asked. */
function again({ retryable, timeLeftMs }: AfterFailure): NextStep {
  let best = -1;
  let soonestMs = Number.POSITIVE_INFINITY;
  for (const [index, { readyInMs }] of retryable.entries()) {
    if (readyInMs >= soonestMs) continue;
    best = index;
    soonestMs = readyInMs;
  }
  return soonestMs < timeLeftMs ? { do: 'again', index: best } : { do: 'stop' };
}

const MAX_BACKOFF_MS = 30_000;

/**
 * How long a target is left alone before the same request may be sent to it again; null: never, it may have been
 * processed or is waited for otherwise. Exponential backoff with full jitter, so that clients which failed together do not come back together
 * (AWS Builders' Library), but never before the time that the target itself stated.
 *
 * @param tries of this target so far, ≥ 1
 * @param random 0 ≤ random < 1
 */
export function retryWaitMs(error: UpstreamError, tries: number, retryDelayMs: number, random: number): number | null {
  // A model that is loading is waited for, not asked again and again.
  if (!FAILURE_RULES[error.kind].trySameAgain || error.kind === 'modelLoading') return null;
  const backoffMs = Math.min(MAX_BACKOFF_MS, retryDelayMs * 2 ** (tries - 1));
  return Math.max(backoffMs * random, error.retryAfterMs ?? 0);
}
