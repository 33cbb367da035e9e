/** How long what was used counts, seconds; up to one more, because it is kept by whole seconds. */
const WINDOW_SECONDS = 60;
/** A second counts until no moment of it lies within the last 60 seconds. */
const SLOTS = WINDOW_SECONDS + 1;

/**
 * How much was used in the last minute, by the second. A window that slides: with fixed minutes, twice the limit would
 * pass around the turn of one, and with a bucket that refills, within the first. This way no span of 60 seconds, wherever
 * it begins, holds more than the limit, and the memory does not grow with the limit.
 */
export class MinuteWindow {
  readonly #used = new Float64Array(SLOTS);
  #total = 0;
  /** The newest second that there is a slot for. */
  #second = Number.NEGATIVE_INFINITY;

  /** @param nowMs Of a clock that never goes back, as everywhere here. */
  total(nowMs: number): number {
    this.#moveTo(nowMs);
    return this.#total;
  }

  /** @param amount Whole, ≥ 0. */
  add(amount: number, nowMs: number): void {
    this.#moveTo(nowMs);
    this.#change(this.#second, amount);
  }

  /** Takes a part back of what was added at `addedAtMs`, unless that no longer counts. */
  takeBack(amount: number, addedAtMs: number, nowMs: number): void {
    this.#moveTo(nowMs);
    const second = secondOf(addedAtMs);
    if (second > this.#second - SLOTS) this.#change(second, -amount);
  }

  /** How long until no more than `most` is left, ms; Infinity: `most` is below 0. */
  msUntilAtMost(most: number, nowMs: number): number {
    this.#moveTo(nowMs);
    if (this.#total <= most) return 0;
    let left = this.#total;
    for (let second = this.#second - WINDOW_SECONDS; second <= this.#second; second++) {
      left -= this.#used[slotOf(second)] ?? 0;
      if (left <= most) return (second + SLOTS) * 1000 - nowMs;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** How long until nothing is left, ms: in most cases a look at the newest second tells. */
  msUntilEmpty(nowMs: number): number {
    this.#moveTo(nowMs);
    for (let second = this.#second; second > this.#second - SLOTS; second--) {
      if (this.#used[slotOf(second)] !== 0) return (second + SLOTS) * 1000 - nowMs;
    }
    return 0;
  }

  #change(second: number, amount: number): void {
    const slot = slotOf(second);
    this.#used[slot] = (this.#used[slot] ?? 0) + amount;
    this.#total += amount;
  }

  /** Forgets the seconds that have left the window. */
  #moveTo(nowMs: number): void {
    const now = secondOf(nowMs);
    if (now <= this.#second) return;
    if (now - this.#second >= SLOTS) {
      this.#used.fill(0);
      this.#total = 0;
    } else {
      for (let second = this.#second + 1; second <= now; second++) {
        const slot = slotOf(second);
        this.#total -= this.#used[slot] ?? 0;
        this.#used[slot] = 0;
      }
    }
    this.#second = now;
  }
}

function secondOf(atMs: number): number {
  return Math.floor(atMs / 1000);
}

/** Also where the clock's beginning lies in the future. */
function slotOf(second: number): number {
  const slot = second % SLOTS;
  return slot < 0 ? slot + SLOTS : slot;
}
