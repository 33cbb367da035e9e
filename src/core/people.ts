import type { AuditEvent } from './audit.ts';
import type { Grant } from './principal.ts';
import type { Secret } from './secret.ts';

/** Who somebody is at an identity provider. Both together are one person's for good, which no other claim is. */
export interface Identity {
  readonly issuer: string;
  readonly subject: string;
}

/** A person who logs in to the admin API. Times: ms since the Unix epoch. */
export interface User {
  /** Unique, never used again. */
  readonly id: string;
  readonly organisationId: string;
  /**
   * With a password: what they log in with, unique in the whole store, without regard to case. Else what their identity
   * provider calls them, which others may be called too.
   */
  readonly name: string;
  /** Null: they log in with a password. Never changed. */
  readonly identity: Identity | null;
  readonly grants: readonly Grant[];
  readonly createdAtMs: number;
  /** From this moment on they cannot log in and have no session; null: they can. */
  readonly disabledAtMs: number | null;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
}

/** A machine's credential for the admin API; never valid on the data plane. */
export interface ServiceToken {
  readonly id: string;
  readonly organisationId: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  /** How the text begins and ends, for people to tell tokens apart. */
  readonly prefix: string;
  readonly lastFour: string;
  readonly createdAtMs: number;
  /** From this moment on it opens nothing; null: never. */
  readonly expiresAtMs: number | null;
  /** Null: it is not. For good. */
  readonly revokedAtMs: number | null;
}

/** A login that goes on. */
export interface Session {
  /** SHA-256 of what the cookie holds, hexadecimal. */
  readonly hash: string;
  readonly organisationId: string;
  readonly userId: string;
  readonly createdAtMs: number;
  readonly seenAtMs: number;
}

export type TokenState = 'live' | 'expired' | 'revoked';

export function tokenState({ expiresAtMs, revokedAtMs }: ServiceToken, nowMs: number): TokenState {
  if (revokedAtMs !== null) return 'revoked';
  return expiresAtMs !== null && nowMs >= expiresAtMs ? 'expired' : 'live';
}

/** The only thing that changes of one is that it is revoked. */
export const tokenRevision = ({ revokedAtMs }: ServiceToken): number => (revokedAtMs === null ? 1 : 2);

/** Somebody has the name already; nothing was written. */
export class NameTaken extends Error {
  override readonly name = 'NameTaken';
}

/** A role that the giver may not give, or take from somebody. */
export class GrantRefused extends Error {
  override readonly name = 'GrantRefused';
  readonly grant: Grant;

  constructor(grant: Grant) {
    super(`The role ${grant.role} is not yours to give or take.`);
    this.grant = grant;
  }
}

/** It is the identity provider that says so, and not us: the roles and the password of whoever comes from one. */
export class NotOurs extends Error {
  override readonly name = 'NotOurs';
}

/** Shown to whoever asked for it, once. */
export interface TokenShownOnce {
  readonly token: ServiceToken;
  readonly text: Secret;
}

export interface UserWithPassword {
  readonly user: User;
  /** As `passwords.ts` makes it; null: they have none, and come from an identity provider. */
  readonly passwordHash: string | null;
}

/** Where people and machines are kept. A change is made whole, with its entry in the audit log, or not at all. */
export interface PeopleStore {
  /** Oldest first. */
  users(organisationId: string): Promise<readonly User[]>;
  user(of: Pick<User, 'organisationId' | 'id'>): Promise<User | null>;
  /** Whatever their organisation and the case of their name. */
  userByLogin(name: string): Promise<UserWithPassword | null>;
  userByIdentity(identity: Identity): Promise<User | null>;
  /** Rejects with NameTaken, also for an identity that somebody has. */
  createUser(made: UserWithPassword, event: AuditEvent): Promise<void>;
  /**
   * In place of what was at `revision`; their sessions end with it. Rejects with RevisionConflict.
   * @param passwordHash null: as it was
   */
  changeUser(user: User, passwordHash: string | null, revision: number, event: AuditEvent): Promise<void>;
  /** As `changeUser`, but for one session, which goes on. */
  changePassword(user: User, passwordHash: string, kept: Session, revision: number, event: AuditEvent): Promise<void>;
  /** What one login of an identity provider was begun with counts once. False: it was spent before. */
  spendLogin(hash: string, nowMs: number, forgetBeforeMs: number): Promise<boolean>;
  tokens(organisationId: string): Promise<readonly ServiceToken[]>;
  token(of: Pick<ServiceToken, 'organisationId' | 'id'>): Promise<ServiceToken | null>;
  tokenByHash(hash: string): Promise<ServiceToken | null>;
  createToken(token: ServiceToken, hash: string, event: AuditEvent): Promise<void>;
  revokeToken(token: ServiceToken, nowMs: number, event: AuditEvent): Promise<void>;
  session(hash: string): Promise<{ readonly session: Session; readonly user: User } | null>;
  /** Sessions that began or were seen last before these moments are forgotten with it. */
  beginSession(session: Session, before: { createdMs: number; seenMs: number }, event: AuditEvent): Promise<void>;
  touchSession(session: Session, nowMs: number): Promise<void>;
  endSession(session: Session, event: AuditEvent): Promise<void>;
  /** Ids. */
  projects(organisationId: string): Promise<readonly string[]>;
}

/** Somebody whom an identity provider vouches for, as it says now. */
export interface Vouched {
  readonly identity: Identity;
  /** For people. */
  readonly name: string;
  /** What their claims give them; those in projects that are not there count for nothing. */
  readonly grants: readonly Grant[];
}
