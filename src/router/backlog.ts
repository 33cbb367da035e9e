import type { Clock } from '../core/clock.ts';

/** Longest time that tasks may hold up the event loop in one go, ms. */
const SLICE_MS = 5;

/**
 * Runs short tasks at once, unless there are so many that they would hold up the event loop: then the rest waits for
 * its next turns. For clients that leave by the thousand at the same moment (faults T-06).
 */
export class Backlog {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  #spentMs = 0;
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tasks must not throw. */
  run(task: () => void): void {
    if (this.#spentMs >= SLICE_MS) this.#waiting.push(task);
    else this.#runNow(task);
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(0, () => this.#nextTurn());
  }

  #runNow(task: () => void): void {
    const startedAtMs = this.#clock.nowMs();
    task();
    this.#spentMs += this.#clock.nowMs() - startedAtMs;
  }

  #nextTurn(): void {
    this.#armed = false;
    this.#spentMs = 0;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    let done = 0;
    while (done < waiting.length && this.#spentMs < SLICE_MS) this.#runNow(waiting[done++] as () => void);
    this.#waiting = waiting.slice(done);
    this.#armed = true;
    this.#clock.after(0, () => this.#nextTurn());
  }
}
