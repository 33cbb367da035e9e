import type { LedgerOwner } from '../../core/ledger.ts';

/**
 * Which processes are dead: those that say so, and those whose beat stands still. Their beat is timed by our own
 * monotonic clock, so that no step of anybody's wall clock makes a living process look dead.
 */
export class OwnerWatch {
  readonly #silenceMs: number;
  #seen = new Map<string, { readonly beat: number; readonly sinceMs: number }>();

  /** `silenceMs`: without a beat for so long, > 0: dead. */
  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  /** Owners with attempts open, other than this process → the dead of them. */
  dead(owners: readonly LedgerOwner[], nowMs: number): readonly string[] {
    const seen = new Map<string, { readonly beat: number; readonly sinceMs: number }>();
    for (const { ownerId, beat } of owners) {
      const before = this.#seen.get(ownerId);
      seen.set(ownerId, before?.beat === beat ? before : { beat, sinceMs: nowMs });
    }
    this.#seen = seen;
    return owners
      .filter(({ ownerId, alive }) => !alive || nowMs - (seen.get(ownerId)?.sinceMs ?? nowMs) >= this.#silenceMs)
      .map(({ ownerId }) => ownerId);
  }
}
