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
  readonly #sorting = new Float64Array(WINDOW);
  /** At index n: the sum of the lengths from the n-th on. */
  readonly #sums = new Float64Array(WINDOW + 1);
  #count = 0;
  /** Ascending. Made when it is asked for: answers may end more often than plans are made. */
  #inOrder: Float64Array = this.#sorting.subarray(0, 0);
  #isInOrder = true;

  get count(): number {
    return this.#count;
  }

  /** Tokens, on average. */
  get mean(): number {
    const { length } = this.#sorted();
    return length === 0 ? USUAL_OUTPUT_TOKENS : (this.#sums[0] as number) / length;
  }

  record(tokens: number): void {
    if (!(tokens > 0 && tokens < 1e8)) return;
    this.#ring[this.#count % WINDOW] = tokens;
    this.#count++;
    this.#isInOrder = false;
  }

  #sorted(): Float64Array {
    if (this.#isInOrder) return this.#inOrder;
    this.#isInOrder = true;
    const size = Math.min(WINDOW, this.#count);
    this.#sorting.set(this.#ring.subarray(0, size));
    this.#inOrder = this.#sorting.subarray(0, size).sort();
    this.#sums[size] = 0;
    for (let at = size - 1; at >= 0; at--) {
      this.#sums[at] = (this.#sums[at + 1] as number) + (this.#inOrder[at] as number);
    }
    return this.#inOrder;
  }

  /**
   * Tokens still to come on average, when so many are written.
   * @param most the client's own limit
   * @param usual of an answer anywhere, while too few have been seen here
   */
  remaining(written: number, most: number, usual: number): number {
    const left = Math.max(1, most - written);
    const sorted = this.#sorted();
    if (sorted.length < ENOUGH) return Math.min(left, Math.max(usual - written, usual / 4));
    const from = firstAbove(sorted, written);
    const longer = sorted.length - from;
    // Longer than all that were seen: as long again as the longest ones differ.
    if (longer === 0) return Math.min(left, this.mean);
    return Math.min(left, (this.#sums[from] as number) / longer - written);
  }

  /** The latest lengths, for keeping. */
  lengths(): number[] {
    return [...this.#ring.subarray(0, Math.min(WINDOW, this.#count))];
  }
}

function firstAbove(sorted: Float64Array, written: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as number) > written) high = middle;
    else low = middle + 1;
  }
  return low;
}
