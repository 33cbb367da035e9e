import type { FailureKind, UpstreamError } from '../core/failure.ts';

/** A target that asked to be left alone for a while. It is healthy: this is not the breaker's business (faults F-21, F-22). */
export interface Cooldown {
  readonly untilMs: number;
  readonly kind: FailureKind;
  /** The target said for how long; otherwise it is our guess, and it may still be asked when nobody else is left. */
  readonly stated: boolean;
}

const MAX_COOLDOWN_MS = 300_000;
/** When a rate limit does not say how long it lasts. */
const OVERLOADED_GUESS_MS = 1_000;
/** An empty account or a refused key does not mend itself in seconds; a person does it. */
const OPERATOR_GUESS_MS = 60_000;

/** How a failure changes the cooldown. Pure. The later end counts: a shorter one must not call a target back too early. */
export function nextCooldown(current: Cooldown | null, error: UpstreamError, nowMs: number): Cooldown | null {
  const guessMs = GUESSES[error.kind];
  if (guessMs === undefined) return current;
  const waitMs = Math.min(
    MAX_COOLDOWN_MS,
    Math.max(error.retryAfterMs ?? guessMs, isOperators(error.kind) ? guessMs : 0),
  );
  const untilMs = nowMs + waitMs;
  if (current !== null && current.untilMs >= untilMs) return current;
  return { untilMs, kind: error.kind, stated: error.retryAfterMs !== null };
}

const GUESSES: Partial<Record<FailureKind, number>> = {
  overloaded: OVERLOADED_GUESS_MS,
  outOfQuota: OPERATOR_GUESS_MS,
  badCredentials: OPERATOR_GUESS_MS,
};

function isOperators(kind: FailureKind): boolean {
  return kind === 'outOfQuota' || kind === 'badCredentials';
}
