/** Weight of the newest value: about the last ten count. */
const NEWEST_WEIGHT = 0.2;
/** Fewer say nothing yet. */
const ENOUGH = 5;

/** A running mean of durations, ms. */
export class RunningMean {
  #meanMs = 0;
  #count = 0;

  record(durationMs: number): void {
    this.#count++;
    // The first ones count alike, else the very first would weigh for long.
    this.#meanMs += (durationMs - this.#meanMs) * Math.max(NEWEST_WEIGHT, 1 / this.#count);
  }

  /** Null: too few to say. */
  get meanMs(): number | null {
    return this.#count < ENOUGH ? null : this.#meanMs;
  }
}
