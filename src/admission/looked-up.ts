import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { TooManyUnknownCredentials } from '../core/credential-flood.ts';
import { networkOf } from './network-of.ts';

/** Look-ups of one sender that find nothing: so many at once, and one more with each of these spans. */
const OF_ONE = { most: 300, oneMoreEveryMs: 200 };
/** Likewise of all senders together: what the store is asked stays bounded, however many addresses somebody has. */
const OF_ALL = { most: 3_000, oneMoreEveryMs: 20 };
/** What opened nothing opens nothing for so long: a text is never given out after it was tried. */
const VAIN_FOR_MS = 60_000;
const MOST_REMEMBERED = 10_000;

/**
 * Keeps whoever tries credentials from keeping the store busy: what was in vain is not looked up again for a while, and
 * only so many are in vain at all. It is counted for each sender, so that a stranger shuts out nobody at other addresses.
 * What opened something lately, or was given out here, is looked up all the same, each time: a flood shuts out nobody who
 * was in, and nothing is opened from memory.
 */
export class LookedUp {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** By the digest of the whole text: no two credentials share an entry. */
  readonly #good = new Map<string, true>();
  readonly #vainUntilMs = new Map<string, number>();
  readonly #ofAll: Allowance;
  readonly #bySender = new Map<string, Allowance>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
    this.#ofAll = new Allowance(OF_ALL, clock.nowMs());
  }

  /** It was given out just now: its first use is not counted as that of an unknown one. */
  noteGood(text: string): void {
    remember(this.#good, digestOf(text), true);
  }

  /**
   * What `lookUp` finds. Rejects with TooManyUnknownCredentials, and as it does.
   * @param address whose credential it is; null: not known
   */
  async find<Found>(text: string, address: string | null, lookUp: () => Promise<Found | null>): Promise<Found | null> {
    const digest = digestOf(text);
    if ((this.#vainUntilMs.get(digest) ?? 0) > this.#clock.nowMs()) return null;
    const isNew = !this.#good.has(digest);
    // Taken before it is known how it ends, so that many at once do not all get in.
    const taken = isNew ? this.#take(address) : [];
    const found = await lookUp();
    if (found === null) {
      this.#good.delete(digest);
      remember(this.#vainUntilMs, digest, this.#clock.nowMs() + VAIN_FOR_MS);
      return null;
    }
    for (const allowance of taken) allowance.giveBack();
    remember(this.#good, digest, true);
    return found;
  }

  #take(address: string | null): readonly Allowance[] {
    const nowMs = this.#clock.nowMs();
    const sender = networkOf(address);
    const ofSender = this.#bySender.get(sender) ?? new Allowance(OF_ONE, nowMs);
    remember(this.#bySender, sender, ofSender);
    const both = [ofSender, this.#ofAll];
    const waitMs = Math.max(...both.map((allowance) => allowance.waitMs(nowMs)));
    if (waitMs > 0) throw new TooManyUnknownCredentials(waitMs);
    for (const allowance of both) allowance.take();
    return both;
  }
}

/** So many, and more as time goes by. */
class Allowance {
  readonly #size: typeof OF_ONE;
  #left: number;
  #countedAtMs: number;

  constructor(size: typeof OF_ONE, nowMs: number) {
    this.#size = size;
    this.#left = size.most;
    this.#countedAtMs = nowMs;
  }

  /** Until one may be taken; 0: now. */
  waitMs(nowMs: number): number {
    const { most, oneMoreEveryMs } = this.#size;
    const more = Math.floor((nowMs - this.#countedAtMs) / oneMoreEveryMs);
    this.#left = Math.min(most, this.#left + more);
    this.#countedAtMs += more * oneMoreEveryMs;
    return this.#left < 1 ? this.#countedAtMs + oneMoreEveryMs - nowMs : 0;
  }

  take(): void {
    this.#left--;
  }

  giveBack(): void {
    this.#left = Math.min(this.#size.most, this.#left + 1);
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64');

/** The oldest is forgotten for it. */
function remember<Value>(map: Map<string, Value>, name: string, value: Value): void {
  map.delete(name);
  map.set(name, value);
  if (map.size <= MOST_REMEMBERED) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
