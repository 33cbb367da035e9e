import type { Clock } from '../../core/clock.ts';

/** Between two batches at the most busy; so long nobody waits longer than that and one batch. */
const EVERY_MS = 5;
const MOST_AT_ONCE = 1_000;

/** What comes within a few milliseconds, or while the last batch is written, is written together. */
export class Batches<T> {
  readonly #clock: Clock;
  readonly #write: (batch: readonly T[]) => Promise<void>;
  readonly #keep: (batch: readonly T[], error: unknown) => void;
  #queue: T[] = [];
  #dueAtMs: number | null = null;
  /** It cannot be due sooner. */
  #isDueSoon = false;
  #cancel: () => void = () => undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | null = null;

  /** `keep`: what becomes of a batch whose write rejects; it must not be lost, and must not throw. */
  constructor(
    clock: Clock,
    write: (batch: readonly T[]) => Promise<void>,
    keep: (batch: readonly T[], error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#write = write;
    this.#keep = keep;
  }

  /** When the last batch began, ms. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** `patienceMs`: how long it may wait for company, ≥ 0. */
  push(item: T, patienceMs: number): void {
    this.#queue.push(item);
    this.#within(patienceMs);
  }

  /** Before all others. */
  unshift(items: readonly T[]): void {
    this.#queue.unshift(...items);
    if (this.#queue.length > 0) this.#within(0);
  }

  /** Resolves when all that was pushed is written. */
  async drain(): Promise<void> {
    while (this.#queue.length > 0 || this.#writing !== null) await (this.#writing ?? this.#begin());
  }

  stop(): void {
    this.#cancel();
  }

  #within(patienceMs: number): void {
    if (this.#writing !== null || this.#isDueSoon) return;
    const nowMs = this.#clock.nowMs();
    const atMs = Math.max(nowMs + patienceMs, this.#lastMs + EVERY_MS);
    if (this.#dueAtMs !== null && this.#dueAtMs <= atMs) return;
    this.#cancel();
    this.#dueAtMs = atMs;
    this.#isDueSoon = patienceMs === 0;
    this.#cancel = this.#clock.after(Math.max(0, atMs - nowMs), () => void this.#begin());
  }

  #begin(): Promise<void> {
    this.#cancel();
    this.#dueAtMs = null;
    this.#isDueSoon = false;
    this.#writing ??= this.#writeQueue().finally(() => {
      this.#writing = null;
      if (this.#queue.length > 0) this.#within(0);
    });
    return this.#writing;
  }

  async #writeQueue(): Promise<void> {
    this.#lastMs = this.#clock.nowMs();
    const batch = this.#queue.splice(0, MOST_AT_ONCE);
    if (batch.length === 0) return;
    try {
      await this.#write(batch);
    } catch (error) {
      this.#keep(batch, error);
    }
  }
}
