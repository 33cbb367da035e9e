/** Weight of the newest of a running mean: about the last ten count. */
const NEWEST_WEIGHT = 0.2;
/** Fewer say nothing yet. */
const ENOUGH = 5;

/** How long requests of one target hold a slot: a running mean. */
export class HoldTime {
  #meanMs = 0;
  #count = 0;

  record(heldMs: number): void {
    this.#count++;
    // The first ones count alike, else the very first would weigh for long.
    this.#meanMs += (heldMs - this.#meanMs) * Math.max(NEWEST_WEIGHT, 1 / this.#count);
  }

  /** Null: too few to say. */
  get meanMs(): number | null {
    return this.#count < ENOUGH ? null : this.#meanMs;
  }
}
