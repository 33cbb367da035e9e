/** A running mean that forgets: the newest value weighs at least `newestWeight`, the first ones weigh alike. */
export class WeightedMean {
  readonly #newestWeight: number;
  #mean = 0;
  #count = 0;

  /** `newestWeight`: above 0, at most 1. */
  constructor(newestWeight: number) {
    this.#newestWeight = newestWeight;
  }

  get count(): number {
    return this.#count;
  }

  /** Null: nothing recorded yet. */
  get mean(): number | null {
    return this.#count === 0 ? null : this.#mean;
  }

  record(value: number): void {
    if (!Number.isFinite(value)) return;
    this.#count++;
    this.#mean += (value - this.#mean) * Math.max(this.#newestWeight, 1 / this.#count);
  }

  /** What was learned before, worth so many values. */
  restore(mean: number, count: number): void {
    this.#mean = mean;
    this.#count = count;
  }
}
