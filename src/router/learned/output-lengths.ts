/** Answers that are looked at: enough for the shape of their lengths, few enough to follow a change. */
const WINDOW = 128;
/** Of an answer, tokens, until some have been seen. */
export const USUAL_OUTPUT_TOKENS = 250;
/** Fewer say little of the shape. */
const ENOUGH = 8;

/**
 * How long answers are, and how much longer one is that has been written for a while: their lengths are spread so widely
 * that a long one is more likely to go on than a short one.
 */
export class OutputLengths {
  readonly #ring = new Float64Array(WINDOW);
  #count = 0;
  /** Ascending. */
  #sorted: Float64Array = new Float64Array(0);
  /** At index n: the sum of the lengths from the n-th on. */
  #sums: Float64Array = new Float64Array(1);

  get count(): number {
    return this.#count;
  }

  /** Tokens, on average. */
  get mean(): number {
    return this.#sorted.length === 0 ? USUAL_OUTPUT_TOKENS : (this.#sums[0] as number) / this.#sorted.length;
  }

  record(tokens: number): void {
    if (!(tokens > 0 && tokens < 1e8)) return;
    this.#ring[this.#count % WINDOW] = tokens;
    this.#count++;
    this.#sorted = this.#ring.slice(0, Math.min(WINDOW, this.#count)).sort();
    this.#sums = new Float64Array(this.#sorted.length + 1);
    for (let at = this.#sorted.length - 1; at >= 0; at--) {
      this.#sums[at] = (this.#sums[at + 1] as number) + (this.#sorted[at] as number);
    }
  }

  /**
   * Tokens still to come on average, when so many are written.
   * @param most the client's own limit
   * @param usual of an answer anywhere, while too few have been seen here
   */
  remaining(written: number, most: number, usual: number): number {
    const left = Math.max(1, most - written);
    if (this.#sorted.length < ENOUGH) return Math.min(left, Math.max(usual - written, usual / 4));
    const from = this.#firstAbove(written);
    const longer = this.#sorted.length - from;
    // Longer than all that were seen: as long again as the longest ones differ.
    if (longer === 0) return Math.min(left, this.mean);
    return Math.min(left, (this.#sums[from] as number) / longer - written);
  }

  /** The latest lengths, for keeping. */
  lengths(): number[] {
    return [...this.#ring.subarray(0, Math.min(WINDOW, this.#count))];
  }

  #firstAbove(written: number): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#sorted[middle] as number) > written) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
