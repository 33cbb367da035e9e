import type { AttemptStart, LedgerOperation } from '../../core/ledger.ts';

/** Longer than most answers take: an attempt that runs for so long gets a row of its own before it ends. */
const LONG_MS = 30_000;
/** Copied from one file of the journal to the other each second, at the most. */
const MOST_CARRIED = 2_000;

/** An attempt that runs. */
export interface OpenAttempt {
  readonly start: AttemptStart;
  readonly beganAtMs: number;
  /**
   * Where its start is. `nowhere`: its end may bring it along · `coming`: on its way to the journal · `journal`: its end follows it there · `store`: it is there,
   * or on its way there, and its end goes there at once.
   */
  place: 'nowhere' | 'coming' | 'journal' | 'store';
}

/** What runs now, and where it is on record. */
export class OpenAttempts {
  readonly #all = new Set<OpenAttempt>();

  get size(): number {
    return this.#all.size;
  }

  /** Whether the store may know of one. */
  anyInStore(): boolean {
    for (const { place } of this.#all) if (place === 'store') return true;
    return false;
  }

  add(attempt: OpenAttempt): OpenAttempt {
    this.#all.add(attempt);
    return attempt;
  }

  remove(attempt: OpenAttempt): void {
    this.#all.delete(attempt);
  }

  /** Those of the journal: `stay` are to go on there; the others are the store's from now on. */
  divide(nowMs: number): readonly OpenAttempt[] {
    const stay: OpenAttempt[] = [];
    for (const attempt of this.#all) {
      if (attempt.place !== 'journal') continue;
      if (nowMs - attempt.beganAtMs < LONG_MS && stay.length < MOST_CARRIED) stay.push(attempt);
      else attempt.place = 'store';
    }
    return stay;
  }

  /** The journal has them no longer. */
  giveToStore(): void {
    for (const attempt of this.#all) if (attempt.place === 'journal') attempt.place = 'store';
  }
}

/** As it is told to who knows nothing of it. */
export function startOperation(start: AttemptStart): Extract<LedgerOperation, { kind: 'start' }> {
  return { kind: 'start', start, enforce: false };
}
