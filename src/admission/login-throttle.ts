import type { Clock } from '../core/clock.ts';
import { networkOf } from './network-of.ts';

/** Failed logins in a span of this length, of one account from anywhere and of one address for any account. */
const SPAN_MS = 15 * 60_000;
const MOST_OF_ACCOUNT = 10;
const MOST_OF_ADDRESS = 50;
/** Names and addresses that are counted; who comes with more of them finds the oldest forgotten. */
const MOST_COUNTED = 10_000;

interface Failures {
  count: number;
  /** On the monotonic clock. */
  readonly sinceMs: number;
}

/** Slows down whoever tries passwords. In memory: a restart forgets it. */
export class LoginThrottle {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #failures = new Map<string, Failures>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  /**
   * ms until the next try may be made; 0: now.
   * @param account null: of none that is known before it succeeds
   */
  waitMs(account: string | null, address: string | null): number {
    const ofAccount = account === null ? 0 : this.#waitOf(accountOf(account), MOST_OF_ACCOUNT);
    return Math.max(ofAccount, this.#waitOf(addressOf(address), MOST_OF_ADDRESS));
  }

  /** Counted before the password is checked, so that many at once do not all get in under the limit. */
  begin(account: string | null, address: string | null): void {
    if (account !== null) this.#count(accountOf(account));
    this.#count(addressOf(address));
  }

  /** The right password: the account's failures are forgotten, those of the address stay but for this one. */
  succeed(account: string | null, address: string | null): void {
    if (account !== null) this.#failures.delete(accountOf(account));
    const failures = this.#failures.get(addressOf(address));
    if (failures !== undefined) failures.count = Math.max(0, failures.count - 1);
  }

  #waitOf(name: string, most: number): number {
    const failures = this.#current(name);
    if (failures === null || failures.count < most) return 0;
    return failures.sinceMs + SPAN_MS - this.#clock.nowMs();
  }

  #count(name: string): void {
    const failures = this.#current(name);
    if (failures !== null) {
      failures.count++;
      return;
    }
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size < MOST_COUNTED) break;
      this.#failures.delete(oldest);
    }
    this.#failures.delete(name);
    this.#failures.set(name, { count: 1, sinceMs: this.#clock.nowMs() });
  }

  #current(name: string): Failures | null {
    const failures = this.#failures.get(name);
    return failures !== undefined && this.#clock.nowMs() < failures.sinceMs + SPAN_MS ? failures : null;
  }
}

const accountOf = (name: string): string => `account ${name.normalize('NFKC').toLowerCase()}`;
const addressOf = (address: string | null): string => `address ${networkOf(address)}`;
