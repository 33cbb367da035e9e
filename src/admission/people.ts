import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditEvent, AuditOrigin } from '../core/audit.ts';
import { NoSuchProject } from '../core/budget-store.ts';
import type { Clock } from '../core/clock.ts';
import { checkRevision } from '../core/key-store.ts';
import {
  GrantRefused,
  NotOurs,
  type PeopleStore,
  type ServiceToken,
  type TokenShownOnce,
  tokenRevision,
  tokenState,
  type User,
} from '../core/people.ts';
import { type Grant, mayGrant, type Principal } from '../core/principal.ts';
import { Secret } from '../core/secret.ts';
import { generateKey, shownParts, TOKEN_START } from './key-format.ts';
import type { HashKey } from './key-hash.ts';
import type { LoginThrottle } from './login-throttle.ts';
import { hashPassword, isPassword, wasteAsMuch } from './passwords.ts';
import { type Entered, Sessions } from './sessions.ts';

export interface PeopleParts {
  readonly store: PeopleStore;
  readonly hash: HashKey;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly throttle: LoginThrottle;
  readonly newId: (kind: 'usr' | 'tok') => string;
  /** The identity provider whose people may have sessions; null: nobody's. */
  readonly issuer: string | null;
}

/** Who asks, and from where. */
export interface Asker {
  readonly principal: Principal;
  readonly origin: AuditOrigin;
}

export interface UserChange {
  readonly grants?: readonly Grant[];
  readonly password?: Secret;
  readonly disabled?: boolean;
}

export type LoginResult =
  | Entered
  | { readonly ok: false; readonly reason: 'wrong_password' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

export type PasswordChange =
  | { readonly ok: true; readonly user: User }
  | { readonly ok: false; readonly reason: 'wrong_password' | 'no_password' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitMs: number };

/**
 * People and machines of the admin API: who they are, and what they may. Always asked of the store, so that what one
 * gateway changes counts at once at every other; the data plane never asks.
 */
export class People {
  readonly #parts: PeopleParts;
  readonly #sessions: Sessions;

  constructor(parts: PeopleParts) {
    this.#parts = parts;
    this.#sessions = new Sessions(parts);
  }

  users(organisationId: string): Promise<readonly User[]> {
    return this.#parts.store.users(organisationId);
  }

  /** Rejects with NameTaken, GrantRefused, NoSuchProject, TooManyLogins. */
  async createUser(
    { name, grants, password }: { readonly name: string; readonly grants: readonly Grant[]; readonly password: Secret },
    { principal, origin }: Asker,
  ): Promise<User> {
    const { store, clock, newId } = this.#parts;
    await this.#checkGrants(principal, grants);
    const { organisationId } = principal;
    const passwordHash = await hashPassword(password.reveal());
    const user: User = {
      ...{ id: newId('usr'), organisationId, name, identity: null, grants },
      ...{ createdAtMs: clock.wallMs(), disabledAtMs: null, revision: 1 },
    };
    await store.createUser({ user, passwordHash }, eventOf('user.create', origin, null, user));
    return user;
  }

  /** Their sessions end. Null: there is no such user. Rejects as `createUser`, and with NotOurs and RevisionConflict. */
  changeUser(id: string, change: UserChange, revision: number | null, asker: Asker): Promise<User | null> {
    return againOnConflict(revision, () => this.#changeUser(id, change, revision, asker));
  }

  tokens(organisationId: string): Promise<readonly ServiceToken[]> {
    return this.#parts.store.tokens(organisationId);
  }

  /** Rejects with GrantRefused, NoSuchProject. */
  async createToken(
    given: Pick<ServiceToken, 'name' | 'grants' | 'expiresAtMs'>,
    { principal, origin }: Asker,
  ): Promise<TokenShownOnce> {
    const { store, hash, clock, newId } = this.#parts;
    await this.#checkGrants(principal, given.grants);
    const text = generateKey(undefined, TOKEN_START);
    const token: ServiceToken = {
      ...{ id: newId('tok'), organisationId: principal.organisationId, ...given, ...shownParts(text, TOKEN_START) },
      ...{ createdAtMs: clock.wallMs(), revokedAtMs: null },
    };
    await store.createToken(token, hash(text), eventOf('token.create', origin, null, token));
    return { token, text: new Secret(text) };
  }

  /** At once and for good. Null: there is no such token. Rejects with GrantRefused. */
  async revokeToken(id: string, revision: number | null, { principal, origin }: Asker): Promise<ServiceToken | null> {
    const { store, clock } = this.#parts;
    const before = await store.token({ organisationId: principal.organisationId, id });
    if (before === null) return null;
    // Whoever may not give a role may not take it.
    await this.#checkGrants(principal, before.grants);
    checkRevision('The token', revision, tokenRevision(before));
    const after = { ...before, revokedAtMs: before.revokedAtMs ?? clock.wallMs() };
    await store.revokeToken(before, after.revokedAtMs, eventOf('token.revoke', origin, before, after));
    return after;
  }

  /** @param address of the connection's other end, for the throttle */
  async login(name: string, password: Secret, from: Omit<AuditOrigin, 'actor'>): Promise<LoginResult> {
    const { store, throttle } = this.#parts;
    const waitMs = throttle.waitMs(name, from.peerAddress);
    if (waitMs > 0) return { ok: false, reason: 'throttled', waitMs };
    throttle.begin(name, from.peerAddress);
    const found = await store.userByLogin(name);
    const text = password.reveal();
    const hash = found?.passwordHash ?? null;
    const isRight = hash === null ? await wasteAsMuch(text) : await isPassword(text, hash);
    if (!isRight || found === null || found.user.disabledAtMs !== null) return { ok: false, reason: 'wrong_password' };
    throttle.succeed(name, from.peerAddress);
    return this.#sessions.begin(found.user, from);
  }

  /** Null: it opens nothing, or nothing any more. */
  ofSession(cookie: string): Promise<Principal | null> {
    return this.#sessions.principalOf(cookie);
  }

  /** Whose session it was; null: there was no such session. */
  logout(cookie: string, from: Omit<AuditOrigin, 'actor'>): Promise<User | null> {
    return this.#sessions.end(cookie, from);
  }

  /** Of whoever has this session, which goes on; their others end. Rejects with TooManyLogins and RevisionConflict. */
  async changePassword(
    cookie: string,
    { current, next }: { readonly current: Secret; readonly next: Secret },
    from: Omit<AuditOrigin, 'actor'>,
  ): Promise<PasswordChange> {
    const { store, throttle } = this.#parts;
    const found = await this.#sessions.find(cookie);
    if (found === null || found.user.identity !== null) return { ok: false, reason: 'no_password' };
    const { id, name } = found.user;
    const waitMs = throttle.waitMs(name, from.peerAddress);
    if (waitMs > 0) return { ok: false, reason: 'throttled', waitMs };
    throttle.begin(name, from.peerAddress);
    const known = await store.userByLogin(name);
    if (known === null || known.passwordHash === null) return { ok: false, reason: 'no_password' };
    if (!(await isPassword(current.reveal(), known.passwordHash))) return { ok: false, reason: 'wrong_password' };
    throttle.succeed(name, from.peerAddress);
    const before = known.user;
    const user: User = { ...before, revision: before.revision + 1 };
    const event = eventOf('user.update', { actor: { kind: 'user', id }, ...from }, before, user, true);
    const passwordHash = await hashPassword(next.reveal());
    await store.changePassword(user, passwordHash, found.session, before.revision, event);
    return { ok: true, user };
  }

  /** Null: it opens nothing, or nothing any more. Looks it up, whatever it is: `Principals` sees that it can be one. */
  async ofToken(text: string): Promise<Principal | null> {
    const { store, hash, clock } = this.#parts;
    const token = await store.tokenByHash(hash(text));
    if (token === null || tokenState(token, clock.wallMs()) !== 'live') return null;
    const { id, name, organisationId, grants } = token;
    return { kind: 'token', id, name, organisationId, grants };
  }

  async #changeUser(
    id: string,
    change: UserChange,
    revision: number | null,
    { principal, origin }: Asker,
  ): Promise<User | null> {
    const { store, clock } = this.#parts;
    const before = await store.user({ organisationId: principal.organisationId, id });
    if (before === null) return null;
    checkRevision('The user', revision, before.revision);
    if (before.identity !== null && (change.grants !== undefined || change.password !== undefined)) {
      throw new NotOurs(`"${before.name}" logs in at ${before.identity.issuer}.`);
    }
    // Whoever may not give a role may not take it, nor the password of somebody who has it.
    await this.#checkGrants(principal, [...before.grants, ...(change.grants ?? [])]);
    const disabledAtMs = change.disabled === false ? null : before.disabledAtMs;
    const user: User = {
      ...before,
      grants: change.grants ?? before.grants,
      disabledAtMs: change.disabled === true ? (disabledAtMs ?? clock.wallMs()) : disabledAtMs,
      revision: before.revision + 1,
    };
    const passwordHash = change.password === undefined ? null : await hashPassword(change.password.reveal());
    const event = eventOf('user.update', origin, before, user, passwordHash !== null);
    await store.changeUser(user, passwordHash, before.revision, event);
    return user;
  }

  async #checkGrants(giver: Principal, grants: readonly Grant[]): Promise<void> {
    const inProjects = grants.some(({ projectId }) => projectId !== null);
    const projects = inProjects ? await this.#parts.store.projects(giver.organisationId) : [];
    for (const grant of grants) {
      if (!mayGrant(giver, grant)) throw new GrantRefused(grant);
      const { projectId } = grant;
      if (projectId !== null && !projects.includes(projectId)) throw new NoSuchProject(projectId, projects);
    }
  }
}

type Named = User | ServiceToken;

/** @param passwordChanged what the log shows of a password is that it is another one */
function eventOf(
  action: `${'user' | 'token'}.${string}`,
  origin: AuditOrigin,
  before: Named | null,
  after: Named,
  passwordChanged = false,
): AuditEvent {
  const subject = `${action.slice(0, action.indexOf('.'))}:${after.id}`;
  const shown = { ...after, ...(passwordChanged && { password: 'changed' }) };
  return { origin, action, subject, before, after: shown, organisationId: after.organisationId };
}
