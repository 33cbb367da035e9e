import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { ChangeEnds, StoreChange, StoreChanges } from '../core/store-changes.ts';

export interface ChangeFollowerParts {
  readonly changes: StoreChanges;
  /** Where the record ended before what is known was read. */
  readonly from: ChangeEnds;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Puts what was changed in force; null: read everything anew. Tried again when it rejects. */
  readonly follow: (changes: readonly StoreChange[] | null) => Promise<void>;
}

/** With the time that reading takes, well within the two seconds in which a change counts everywhere. */
const EVERY_MS = 1_000;
/** More than that were not made by hand: reading everything is less work than reading each. */
const MOST_CHANGES = 500;

/** Learns what other gateways on the same store change. While the store does not answer, what is known stays in force. */
export class ChangeFollower {
  readonly #parts: ChangeFollowerParts;
  #seen: ChangeEnds;
  #cancel: (() => void) | null = null;
  #asking: Promise<void> | null = null;
  #stopped = false;
  #failed = false;

  constructor(parts: ChangeFollowerParts) {
    this.#parts = parts;
    this.#seen = parts.from;
  }

  start(): void {
    if (this.#stopped) return;
    this.#cancel = this.#parts.clock.after(EVERY_MS, () => void this.ask().then(() => this.start()));
  }

  /** Looks now. Never rejects. */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** Waits for a look that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      const ends = await this.#parts.changes.ends();
      if (!isSame(this.#seen, ends)) {
        await this.#follow(ends);
        this.#seen = ends;
      }
      this.#say(null);
    } catch (error) {
      this.#say(error);
    }
  }

  async #follow(ends: ChangeEnds): Promise<void> {
    const { changes, follow } = this.#parts;
    const found = await changes.between(this.#seen, ends, MOST_CHANGES);
    if (found === null || found.length > 0) await follow(found);
  }

  /** Once when it begins to fail and once when it is over: a store may be gone for hours. */
  #say(error: unknown): void {
    const failed = error !== null;
    if (failed === this.#failed) return;
    this.#failed = failed;
    const { logger } = this.#parts;
    if (failed) {
      logger.warn(
        { error: String(error) },
        'what other gateways change is not read; the keys that are known stay in force',
      );
    } else logger.info({}, 'what other gateways change is read again');
  }
}

function isSame(one: ChangeEnds, other: ChangeEnds): boolean {
  return one.size === other.size && [...other].every(([organisation, end]) => one.get(organisation) === end);
}
