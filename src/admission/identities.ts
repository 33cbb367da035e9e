import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import { DEFAULT_ORGANISATION } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import { RevisionConflict } from '../core/key-store.ts';
import { NameTaken, type PeopleStore, type User, type Vouched } from '../core/people.ts';
import type { Grant } from '../core/principal.ts';
import { digest, type Entered, Sessions } from './sessions.ts';

export interface IdentitiesParts {
  readonly store: PeopleStore;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly newId: (kind: 'usr') => string;
  readonly issuer: string;
}

export type VouchedLogin =
  | Entered
  /** `replayed`: what the login was begun with was spent before. */
  | { readonly ok: false; readonly reason: 'replayed' | 'no_role' | 'disabled' };

/** Longer than a login may take: what it was begun with is refused as too old by then. */
const SPENT_KEPT_MS = 86_400_000;
/** Two logins of one person at once may change them at once. */
const MOST_TRIES = 5;

/** Lets in whom an identity provider vouches for: known by issuer and subject alone, with the roles that it gives them now. */
export class Identities {
  readonly #parts: IdentitiesParts;
  readonly #sessions: Sessions;

  constructor(parts: IdentitiesParts) {
    this.#parts = parts;
    this.#sessions = new Sessions(parts);
  }

  /** @param begunWith what only this login was begun with; counts once, at all gateways on the store */
  async enter(vouched: Vouched, begunWith: string, from: Omit<AuditOrigin, 'actor'>): Promise<VouchedLogin> {
    const { store, clock } = this.#parts;
    const nowMs = clock.wallMs();
    if (!(await store.spendLogin(digest(begunWith), nowMs, nowMs - SPENT_KEPT_MS))) {
      return { ok: false, reason: 'replayed' };
    }
    const projects = await store.projects(DEFAULT_ORGANISATION);
    const grants = vouched.grants.filter(({ projectId }) => projectId === null || projects.includes(projectId));
    const user = await this.#user({ ...vouched, grants }, from);
    if (user !== null && user.disabledAtMs !== null) return { ok: false, reason: 'disabled' };
    if (user === null || user.grants.length === 0) return { ok: false, reason: 'no_role' };
    return this.#sessions.begin(user, from);
  }

  /** As they are vouched for now. Null: they were never here, and have no role to come in with. */
  async #user(vouched: Vouched, from: Omit<AuditOrigin, 'actor'>): Promise<User | null> {
    for (let tries = 1; ; tries++) {
      try {
        const known = await this.#parts.store.userByIdentity(vouched.identity);
        if (known !== null) return await this.#update(known, vouched, from);
        return vouched.grants.length === 0 ? null : await this.#create(vouched, from);
      } catch (error) {
        const again = error instanceof NameTaken || error instanceof RevisionConflict;
        if (!again || tries >= MOST_TRIES) throw error;
      }
    }
  }

  async #create({ identity, name, grants }: Vouched, from: Omit<AuditOrigin, 'actor'>): Promise<User> {
    const { store, clock, newId } = this.#parts;
    const user: User = {
      ...{ id: newId('usr'), organisationId: DEFAULT_ORGANISATION, name, identity, grants },
      ...{ createdAtMs: clock.wallMs(), disabledAtMs: null, revision: 1 },
    };
    await store.createUser({ user, passwordHash: null }, eventOf('user.create', null, user, from));
    return user;
  }

  /** A change ends the sessions that they have. */
  async #update(before: User, { name, grants }: Vouched, from: Omit<AuditOrigin, 'actor'>): Promise<User> {
    const isSame = before.name === name && sameGrants(before.grants, grants);
    // Whoever was shut out stays as they were when it was done.
    if (isSame || before.disabledAtMs !== null) return before;
    const user = { ...before, name, grants, revision: before.revision + 1 };
    await this.#parts.store.changeUser(user, null, before.revision, eventOf('user.update', before, user, from));
    return user;
  }
}

function sameGrants(some: readonly Grant[], others: readonly Grant[]): boolean {
  const sorted = (grants: readonly Grant[]) =>
    grants
      .map(({ role, projectId }) => `${role} ${projectId ?? ''}`)
      .toSorted()
      .join('\n');
  return sorted(some) === sorted(others);
}

/** The gateway does it, for what the provider says. */
function eventOf(
  action: `user.${string}`,
  before: User | null,
  after: User,
  from: Omit<AuditOrigin, 'actor'>,
): AuditEvent {
  const origin: AuditOrigin = { actor: { kind: 'system', id: 'oidc' }, ...from };
  return { origin, action, subject: `user:${after.id}`, before, after, organisationId: after.organisationId };
}
