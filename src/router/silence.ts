import { RunningMean } from './running-mean.ts';

/** However fast a target usually is, a silence shorter than this means nothing. */
const LEAST_SILENCE_MS = 20;
/** So many times as long as it usually takes. */
const UNUSUAL = 4;

/**
 * Does a target leave its requests unanswered for unusually long? No proof that it is dead (it may read a long
 * prompt), but reason enough to prefer its equals until it gives a sign of life (faults: one of several nodes hangs).
 */
export class Silence {
  /** Since when the oldest call is unanswered that began after the latest sign of life; null: none is. */
  #sinceMs: number | null = null;
  readonly #usual = new RunningMean();

  began(nowMs: number): void {
    this.#sinceMs ??= nowMs;
  }

  /** It answered something, be it a probe. `firstContentMs`: how long a call took to its first content. */
  broken(firstContentMs: number | null = null): void {
    this.#sinceMs = null;
    if (firstContentMs !== null) this.#usual.record(firstContentMs);
  }

  isUnusual(nowMs: number): boolean {
    if (this.#sinceMs === null) return false;
    const { meanMs } = this.#usual;
    return meanMs !== null && nowMs - this.#sinceMs > Math.max(LEAST_SILENCE_MS, UNUSUAL * meanMs);
  }
}
