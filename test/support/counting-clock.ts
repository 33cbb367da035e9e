import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/system-clock.ts';

/** The real clock, which knows the timers that were set and have neither run nor been cancelled. */
export class CountingClock implements Clock {
  /** Delays of the pending timers, ms. */
  readonly #pending = new Map<object, number>();

  nowMs(): number {
    return systemClock.nowMs();
  }

  wallMs(): number {
    return systemClock.wallMs();
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = {};
    this.#pending.set(timer, delayMs);
    const cancel = systemClock.after(delayMs, () => {
      this.#pending.delete(timer);
      run();
    });
    return () => {
      this.#pending.delete(timer);
      cancel();
    };
  }

  get pendingDelaysMs(): readonly number[] {
    return [...this.#pending.values()];
  }
}
