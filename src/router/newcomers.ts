import type { Clock } from '../core/clock.ts';
import { restingReason } from './resting.ts';
import type { TargetEntry } from './target-entry.ts';
import type { TargetDirectory } from './targets.ts';

/** What of a target decides whether somebody who waits elsewhere would rather go there. */
interface Seen {
  readonly serves: boolean;
  /** Of the probe; the names are compared only when it is another one. */
  readonly snapshot: TargetEntry['snapshot'];
  readonly models: string;
}

/**
 * Which targets can serve by now and could not at the look before: one whose cooldown is over, or that has models it had
 * not. Nobody is told of these, so they are looked for.
 */
export class Newcomers {
  readonly #directory: TargetDirectory;
  readonly #clock: Clock;
  #seen = new Map<TargetEntry, Seen>();

  constructor(directory: TargetDirectory, clock: Clock) {
    this.#directory = directory;
    this.#clock = clock;
  }

  look(): TargetEntry[] {
    const nowMs = this.#clock.nowMs();
    const before = this.#seen;
    this.#seen = new Map();
    const found: TargetEntry[] = [];
    for (const entry of this.#directory.entries()) {
      const then = before.get(entry);
      const now = seen(entry, then, nowMs);
      this.#seen.set(entry, now);
      if (now.serves && then !== undefined && (!then.serves || now.models !== then.models)) found.push(entry);
    }
    return found;
  }
}

function seen(entry: TargetEntry, then: Seen | undefined, nowMs: number): Seen {
  const { snapshot } = entry;
  const models = snapshot === then?.snapshot ? then.models : namesOf(snapshot);
  return { serves: restingReason(entry, nowMs) === null, snapshot, models };
}

function namesOf(snapshot: TargetEntry['snapshot']): string {
  return snapshot === null ? '' : snapshot.models.map(({ id }) => id).join('\n');
}
