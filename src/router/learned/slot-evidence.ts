/** So often it must have been seen that an answer waited for another's end. */
const ENOUGH_WAITS = 2;
/** Its first content came this much later than reading its prompt takes: it waited. */
const LATE = 3;
const LATE_MS = 250;
/** … and within so many times its reading after another answer's end: for that it waited. */
const SOON = 2;

/**
 * How many answers a server that does not say so writes at once: more than were ever seen at once may be, fewer than
 * waited for each other's end may not.
 */
export class SlotEvidence {
  #seenAtOnce = 0;
  /** At index n: answers that began only when one of n others ended. */
  readonly #waits: number[] = [];
  #endedAtMs = Number.NEGATIVE_INFINITY;
  #writtenBeforeEnd = 0;

  /** Answers written at once, at most, so far. */
  get seenAtOnce(): number {
    return this.#seenAtOnce;
  }

  /** Null: not known. */
  get learned(): number | null {
    for (let slots = Math.max(1, this.#seenAtOnce); slots < this.#waits.length; slots++) {
      if ((this.#waits[slots] ?? 0) >= ENOUGH_WAITS) return slots;
    }
    return null;
  }

  /**
   * An answer begins while others are written. Returns since when it had a slot, if it waited for one inside the
   * server; null: it did not.
   * @param expectedMs what reading its prompt takes
   */
  answering(sentAtMs: number, expectedMs: number, beside: number, nowMs: number): number | null {
    this.#seenAtOnce = Math.max(this.#seenAtOnce, beside + 1);
    const isLate = nowMs - sentAtMs > LATE * expectedMs + LATE_MS;
    const sinceEndMs = nowMs - this.#endedAtMs;
    const waited = isLate && this.#endedAtMs > sentAtMs && sinceEndMs < SOON * expectedMs + LATE_MS;
    if (!waited || this.#writtenBeforeEnd !== beside + 1) return null;
    this.#waits[this.#writtenBeforeEnd] = (this.#waits[this.#writtenBeforeEnd] ?? 0) + 1;
    return this.#endedAtMs;
  }

  /** An answer ended; `written`: how many were written just before, this one included. */
  finished(written: number, nowMs: number): void {
    this.#endedAtMs = nowMs;
    this.#writtenBeforeEnd = written;
  }
}
