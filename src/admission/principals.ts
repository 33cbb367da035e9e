import type { Clock } from '../core/clock.ts';
import type { Principal } from '../core/principal.ts';
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

  /** Null: it opens nothing. Rejects with TooManyUnknownCredentials. */
  async ofToken(text: string): Promise<Principal | null> {
    if (keyFault(text, TOKEN_START) !== null) return null;
    return this.#tokens.find(text, async () => (await this.#people())?.ofToken(text) ?? null);
  }

  /** Likewise. */
  async ofSession(cookie: string): Promise<Principal | null> {
    if (!SESSION_TEXT.test(cookie)) return null;
    return this.#sessions.find(cookie, async () => (await this.#people())?.ofSession(cookie) ?? null);
  }
}
