import { createHash, randomBytes } from 'node:crypto';
import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import type { Clock } from '../core/clock.ts';
import type { PeopleStore, Session, User } from '../core/people.ts';
import type { LoginMethod, Principal } from '../core/principal.ts';
import { Secret } from '../core/secret.ts';

export interface SessionParts {
  readonly store: PeopleStore;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** The identity provider whose people may have sessions; null: nobody's. */
  readonly issuer: string | null;
}

/** Somebody came in. */
export interface Entered {
  readonly ok: true;
  /** What the cookie holds. */
  readonly text: Secret;
  readonly user: User;
  readonly expiresAtMs: number;
}

/** A session ends so long after it began, or was last used. */
const SESSION_MS = 7 * 86_400_000;
const IDLE_MS = 12 * 3_600_000;
/** How exactly it is known when a session was last used: each look would be a write. */
const SEEN_EVERY_MS = 60_000;
const SESSION_BYTES = 32;

/** Logins that go on, however they began. In the store alone, so that what ends one ends it at every gateway. */
export class Sessions {
  readonly #parts: SessionParts;

  constructor(parts: SessionParts) {
    this.#parts = parts;
  }

  /** For somebody who has shown who they are. */
  async begin(user: User, from: Omit<AuditOrigin, 'actor'>): Promise<Entered> {
    const nowMs = this.#parts.clock.wallMs();
    const cookie = randomBytes(SESSION_BYTES).toString('base64url');
    const session: Session = {
      ...{ hash: digest(cookie), organisationId: user.organisationId, userId: user.id },
      ...{ createdAtMs: nowMs, seenAtMs: nowMs },
    };
    const before = { createdMs: nowMs - SESSION_MS, seenMs: nowMs - IDLE_MS };
    const event = sessionEvent('session.login', user, from, { method: loginMethodOf(user) });
    await this.#parts.store.beginSession(session, before, event);
    return { ok: true, text: new Secret(cookie), user, expiresAtMs: nowMs + SESSION_MS };
  }

  /** Null: it opens nothing, or nothing any more. */
  async principalOf(cookie: string): Promise<Principal | null> {
    const { store, clock } = this.#parts;
    const found = await this.find(cookie);
    if (found === null) return null;
    const { session, user } = found;
    const nowMs = clock.wallMs();
    if (nowMs - session.seenAtMs >= SEEN_EVERY_MS) await store.touchSession(session, nowMs);
    const { id, name, organisationId, grants } = user;
    return { kind: 'user', id, name, organisationId, grants, loginMethod: loginMethodOf(user) };
  }

  /** Whose it was; null: there was no such session. */
  async end(cookie: string, from: Omit<AuditOrigin, 'actor'>): Promise<User | null> {
    const found = await this.find(cookie);
    if (found === null) return null;
    await this.#parts.store.endSession(found.session, sessionEvent('session.logout', found.user, from));
    return found.user;
  }

  /** Looks it up, whatever it is: `Principals` sees that it can be one. */
  async find(cookie: string): Promise<{ readonly session: Session; readonly user: User } | null> {
    const found = await this.#parts.store.session(digest(cookie));
    if (found === null || found.user.disabledAtMs !== null || !this.#mayCome(found.user)) return null;
    const { createdAtMs, seenAtMs } = found.session;
    const nowMs = this.#parts.clock.wallMs();
    return nowMs - createdAtMs < SESSION_MS && nowMs - seenAtMs < IDLE_MS ? found : null;
  }

  /** Nobody vouches any more for people of a provider that is no longer configured. */
  #mayCome({ identity }: User): boolean {
    return identity === null || identity.issuer === this.#parts.issuer;
  }
}

function loginMethodOf({ identity }: User): LoginMethod {
  return identity === null ? 'password' : 'oidc';
}

/** What is kept of what only one browser may know. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function sessionEvent(
  action: `session.${string}`,
  { id, organisationId }: User,
  from: Omit<AuditOrigin, 'actor'>,
  after: unknown = null,
): AuditEvent {
  const origin: AuditOrigin = { actor: { kind: 'user', id }, ...from };
  return { origin, action, subject: `user:${id}`, after, organisationId };
}
