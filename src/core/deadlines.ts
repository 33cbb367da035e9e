import type { Clock } from './clock.ts';

/** Something with a deadline that moves often and is rarely reached. */
export interface Timed {
  /** Monotonic ms; Infinity: none now. Read when the shared timer fires. */
  readonly deadlineMs: number;
  /** The deadline is over. */
  expire(nowMs: number): void;
}

/**
 * One timer for all deadlines of a kind: it is set for the earliest one known, and looks again when it fires. A
 * request thus costs a set entry instead of a timer, and moving a deadline costs a number.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #timed = new Set<Timed>();
  #timerAtMs = Number.POSITIVE_INFINITY;
  #cancelTimer: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#timed.size;
  }

  /**
   * Watches it, or notices that its deadline is earlier than before: call it again then, also when there was none
   * (Infinity) before. A deadline that only moved later needs no call.
   */
  watch(timed: Timed): void {
    this.#timed.add(timed);
    if (timed.deadlineMs < this.#timerAtMs) this.#arm(timed.deadlineMs);
  }

  forget(timed: Timed): void {
    this.#timed.delete(timed);
    // An idle process holds no timer.
    if (this.#timed.size === 0) this.#disarm();
  }

  #arm(atMs: number): void {
    this.#cancelTimer?.();
    this.#timerAtMs = atMs;
    this.#cancelTimer = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => this.#fire());
  }

  #disarm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
  }

  #fire(): void {
    this.#disarm();
    const nowMs = this.#clock.nowMs();
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const timed of [...this.#timed]) {
      if (timed.deadlineMs <= nowMs) timed.expire(nowMs);
      if (this.#timed.has(timed) && timed.deadlineMs < earliestMs) earliestMs = timed.deadlineMs;
    }
    if (earliestMs < this.#timerAtMs) this.#arm(earliestMs);
  }
}
