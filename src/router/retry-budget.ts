import type { Clock } from '../core/clock.ts';

export interface RetryBudgetOptions {
  /** Attempts out of turn per hundred regular ones, 0 to 100. Default 20. */
  readonly percent: number;
  /** Attempts out of turn per second that are always allowed, ≥ 0. Default 1. */
  readonly floorPerSecond: number;
}

export const RETRY_BUDGET_DEFAULTS: RetryBudgetOptions = { percent: 20, floorPerSecond: 1 };

/** Unused allowance is kept for this long at the floor's rate, so that a quiet target is not stuck after one failure. */
const FLOOR_SECONDS = 10;
/** Most that regular attempts can save up: an outage must not be met with the savings of a busy day. */
const MAX_SAVED = 20;
const ONE = 100;

/**
 * How often one target may be asked out of turn (the same request again, or while it rests after failures), so that
 * an outage does not multiply its load (faults F-35; the idea is Finagle's retry budget). Over any span of t seconds
 * it gives at most `capacity + floorPerSecond × t + percent/100 × regular attempts`.
 */
export class RetryBudget {
  readonly #clock: Clock;
  readonly #options: RetryBudgetOptions;
  /** In hundredths of an attempt: whole numbers, so that five deposits of 20 % are exactly one attempt. */
  #saved: number;
  #refilledAtMs: number;

  constructor(clock: Clock, options: RetryBudgetOptions) {
    this.#clock = clock;
    this.#options = options;
    this.#saved = options.floorPerSecond * FLOOR_SECONDS * ONE;
    this.#refilledAtMs = clock.nowMs();
  }

  /** The most it can hold. */
  get capacity(): number {
    return this.#options.floorPerSecond * FLOOR_SECONDS + (this.#options.percent === 0 ? 0 : MAX_SAVED);
  }

  /** A regular attempt: the first of its request at a target in rotation. */
  deposit(): void {
    this.#refill();
    this.#saved = Math.max(this.#saved, Math.min(this.capacity * ONE, this.#saved + this.#options.percent));
  }

  /** Would `withdraw` succeed now? */
  get isSpent(): boolean {
    this.#refill();
    return this.#saved < ONE;
  }

  /** Takes the allowance for one attempt out of turn; false: there is none. */
  withdraw(): boolean {
    if (this.isSpent) return false;
    this.#saved -= ONE;
    return true;
  }

  #refill(): void {
    const nowMs = this.#clock.nowMs();
    const earned = ((nowMs - this.#refilledAtMs) / 1000) * this.#options.floorPerSecond * ONE;
    this.#refilledAtMs = nowMs;
    const floor = this.#options.floorPerSecond * FLOOR_SECONDS * ONE;
    // The floor fills up to its own share only: what is above it was saved by regular attempts.
    if (this.#saved < floor) this.#saved = Math.min(floor, this.#saved + earned);
  }
}
