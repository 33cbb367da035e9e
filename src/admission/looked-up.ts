import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { TooManyUnknownCredentials } from '../core/credential-flood.ts';

/** Look-ups that find nothing: so many at once, and one more with each of these spans. */
const MOST_IN_VAIN = 300;
const ONE_MORE_EVERY_MS = 200;
/** What opened nothing opens nothing for so long: a text is never given out after it was tried. */
const VAIN_FOR_MS = 60_000;
const MOST_REMEMBERED = 10_000;

/**
 * Keeps whoever tries credentials from keeping the store busy: what was in vain is not looked up again for a while, and
 * only so many are in vain at all. What opened something lately is looked up all the same, each time: a flood shuts out
 * nobody who was in, and nothing is opened from memory.
 */
export class LookedUp {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** By the digest of the whole text: no two credentials share an entry. */
  readonly #good = new Map<string, true>();
  readonly #vainUntilMs = new Map<string, number>();
  #left = MOST_IN_VAIN;
  #countedAtMs: number;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
    this.#countedAtMs = clock.nowMs();
  }

  /** What `lookUp` finds. Rejects with TooManyUnknownCredentials, and as it does. */
  async find<Found>(text: string, lookUp: () => Promise<Found | null>): Promise<Found | null> {
    const digest = createHash('sha256').update(text).digest('base64');
    if ((this.#vainUntilMs.get(digest) ?? 0) > this.#clock.nowMs()) return null;
    // Taken before it is known how it ends, so that many at once do not all get in.
    const isNew = !this.#good.has(digest);
    if (isNew) this.#take();
    const found = await lookUp();
    if (found === null) {
      this.#good.delete(digest);
      remember(this.#vainUntilMs, digest, this.#clock.nowMs() + VAIN_FOR_MS);
      return null;
    }
    if (isNew) this.#left = Math.min(MOST_IN_VAIN, this.#left + 1);
    remember(this.#good, digest, true);
    return found;
  }

  #take(): void {
    const nowMs = this.#clock.nowMs();
    const more = Math.floor((nowMs - this.#countedAtMs) / ONE_MORE_EVERY_MS);
    this.#left = Math.min(MOST_IN_VAIN, this.#left + more);
    this.#countedAtMs += more * ONE_MORE_EVERY_MS;
    if (this.#left < 1) throw new TooManyUnknownCredentials(this.#countedAtMs + ONE_MORE_EVERY_MS - nowMs);
    this.#left--;
  }
}

/** The oldest is forgotten for it. */
function remember<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= MOST_REMEMBERED) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
