import type { Clock } from '../core/clock.ts';
import type { Principal } from '../core/principal.ts';
import type { Secret } from '../core/secret.ts';
import { keyFault, TOKEN_START } from './key-format.ts';
import { LookedUp } from './looked-up.ts';
import type { People } from './people.ts';

/** 32 random bytes, base64url. */
const SESSION_TEXT = /^[\w-]{43}$/;

type Desk = Pick<People, 'ofToken' | 'ofSession'>;

/**
 * Whose a credential of the admin API is. What cannot be one costs no look at the store, and strangers cannot keep it
 * busy with what could be one.
 */
export class Principals {
  readonly #people: () => Promise<Desk | null>;
  readonly #tokens: LookedUp;
  /** Apart, so that a flood of one kind shuts out none of the other. */
  readonly #sessions: LookedUp;

  /** @param people null: there is no store, and so nobody */
  constructor(people: () => Promise<Desk | null>, clock: Pick<Clock, 'nowMs'>) {
    this.#people = people;
    this.#tokens = new LookedUp(clock);
    this.#sessions = new LookedUp(clock);
  }

  /**
   * Null: it opens nothing. Rejects with TooManyUnknownCredentials.
   * @param address of whoever sends it, for whom it is counted when it opens nothing
   */
  async ofToken(text: string, address: string | null): Promise<Principal | null> {
    if (keyFault(text, TOKEN_START) !== null) return null;
    return this.#tokens.find(text, address, async () => (await this.#people())?.ofToken(text) ?? null);
  }

  /** Likewise. */
  async ofSession(cookie: string, address: string | null): Promise<Principal | null> {
    if (!SESSION_TEXT.test(cookie)) return null;
    return this.#sessions.find(cookie, address, async () => (await this.#people())?.ofSession(cookie) ?? null);
  }

  /** Was given out here just now: a flood of others does not keep it from its first use. */
  tokenMade(text: Secret): void {
    this.#tokens.noteGood(text.reveal());
  }

  /** Likewise. */
  sessionBegun(cookie: Secret): void {
    this.#sessions.noteGood(cookie.reveal());
  }
}
