import type { AuditEvent } from './audit.ts';
import type { Grant } from './principal.ts';
import type { Secret } from './secret.ts';

/** A person who logs in to the admin API. Times: ms since the Unix epoch. */
export interface User {
  /** Unique, never used again. */
  readonly id: string;
  readonly organisationId: string;
  /** What they log in with; unique in the whole store, without regard to case. */
  readonly name: string;
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

/** Shown to whoever asked for it, once. */
export interface TokenShownOnce {
  readonly token: ServiceToken;
  readonly text: Secret;
}

export interface UserWithPassword {
  readonly user: User;
  /** As `passwords.ts` makes it. */
  readonly passwordHash: string;
}

/** Where people and machines are kept. A change is made whole, with its entry in the audit log, or not at all. */
export interface PeopleStore {
  /** Oldest first. */
  users(organisationId: string): Promise<readonly User[]>;
  /** Whatever their organisation and the case of their name. */
  userByLogin(name: string): Promise<UserWithPassword | null>;
  /** Rejects with NameTaken. */
  createUser(made: UserWithPassword, event: AuditEvent): Promise<void>;
  /**
   * In place of what was at `revision`; their sessions end with it. Rejects with RevisionConflict.
   * @param passwordHash null: as it was
   */
  changeUser(user: User, passwordHash: string | null, revision: number, event: AuditEvent): Promise<void>;
  tokens(organisationId: string): Promise<readonly ServiceToken[]>;
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
