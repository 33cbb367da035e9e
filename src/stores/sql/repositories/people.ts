import { createHash } from 'node:crypto';
import type { Kysely, Selectable } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import {
  type Identity,
  NameTaken,
  type ServiceToken,
  type Session,
  type User,
  type UserWithPassword,
} from '../../../core/people.ts';
import type { Grant } from '../../../core/principal.ts';
import type { PersonTable, ServiceTokenTable, Tables } from '../tables.ts';

/** People, machines and logins as rows. Each change needs the tenant. */
export class PeopleRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** Oldest first. */
  async users(organisationId: string): Promise<readonly User[]> {
    const rows = await this.#db
      .selectFrom('person')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .orderBy('created_at_ms')
      .orderBy('user_id')
      .execute();
    return rows.map(userOf);
  }

  async user({ organisationId, id }: Pick<User, 'organisationId' | 'id'>): Promise<User | null> {
    const row = await this.#db
      .selectFrom('person')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .where('user_id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : userOf(row);
  }

  /** Whatever their organisation. */
  async userByLogin(name: string): Promise<UserWithPassword | null> {
    const row = await this.#db.selectFrom('person').selectAll().where('login', '=', loginOf(name)).executeTakeFirst();
    return row === undefined ? null : { user: userOf(row), passwordHash: row.password_hash || null };
  }

  /** Whatever their organisation. */
  async userByIdentity({ issuer, subject }: Identity): Promise<User | null> {
    const row = await this.#db
      .selectFrom('person')
      .selectAll()
      .where('issuer', '=', issuer)
      .where('subject', '=', subject)
      .executeTakeFirst();
    return row === undefined ? null : userOf(row);
  }

  /** Rejects with NameTaken. */
  async insertUser({ user, passwordHash }: UserWithPassword): Promise<void> {
    const inserted = await this.#db
      .insertInto('person')
      .values({
        ...{ organisation_id: user.organisationId, user_id: user.id, name: user.name, login: loginFor(user) },
        ...{ password_hash: passwordHash ?? '', grants: JSON.stringify(user.grants) },
        ...{ issuer: user.identity?.issuer ?? null, subject: user.identity?.subject ?? null },
        ...{ created_at_ms: user.createdAtMs, disabled_at_ms: user.disabledAtMs, revision: 1 },
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (Number(inserted.numInsertedOrUpdatedRows) === 0) throw new NameTaken(`The name "${user.name}" is taken.`);
  }

  /** In place of what was at `revision`. Rejects with RevisionConflict. What they log in with stays. */
  async changeUser(user: User, passwordHash: string | null, revision: number): Promise<void> {
    const changed = await this.#db
      .updateTable('person')
      .set({
        ...{ grants: JSON.stringify(user.grants), ...(passwordHash !== null && { password_hash: passwordHash }) },
        ...{ name: user.name, disabled_at_ms: user.disabledAtMs, revision: revision + 1 },
      })
      .where('organisation_id', '=', user.organisationId)
      .where('user_id', '=', user.id)
      .where('revision', '=', revision)
      .executeTakeFirst();
    if (Number(changed.numUpdatedRows) === 0) throw new RevisionConflict(`The user is not at ${revision} any more.`);
  }

  /** Oldest first. */
  async tokens(organisationId: string): Promise<readonly ServiceToken[]> {
    const rows = await this.#db
      .selectFrom('service_token')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .orderBy('created_at_ms')
      .orderBy('token_id')
      .execute();
    return rows.map(tokenOf);
  }

  async token({ organisationId, id }: Pick<ServiceToken, 'organisationId' | 'id'>): Promise<ServiceToken | null> {
    const row = await this.#db
      .selectFrom('service_token')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .where('token_id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : tokenOf(row);
  }

  async tokenByHash(hash: string): Promise<ServiceToken | null> {
    const row = await this.#db
      .selectFrom('service_token')
      .selectAll()
      .where('token_hash', '=', hash)
      .executeTakeFirst();
    return row === undefined ? null : tokenOf(row);
  }

  async insertToken(token: ServiceToken, hash: string): Promise<void> {
    await this.#db
      .insertInto('service_token')
      .values({
        ...{ organisation_id: token.organisationId, token_id: token.id, name: token.name, token_hash: hash },
        ...{ prefix: token.prefix, last_four: token.lastFour, grants: JSON.stringify(token.grants) },
        ...{ created_at_ms: token.createdAtMs, expires_at_ms: token.expiresAtMs, revoked_at_ms: null },
      })
      .execute();
  }

  async revokeToken({ organisationId, id }: ServiceToken, nowMs: number): Promise<void> {
    await this.#db
      .updateTable('service_token')
      .set({ revoked_at_ms: nowMs })
      .where('organisation_id', '=', organisationId)
      .where('token_id', '=', id)
      .where('revoked_at_ms', 'is', null)
      .execute();
  }

  /** With whose it is, as they are now. */
  async session(hash: string): Promise<{ readonly session: Session; readonly user: User } | null> {
    const row = await this.#db
      .selectFrom('admin_session')
      .selectAll()
      .where('session_hash', '=', hash)
      .executeTakeFirst();
    if (row === undefined) return null;
    const user = await this.user({ organisationId: row.organisation_id, id: row.user_id });
    if (user === null) return null;
    const session = {
      ...{ hash: row.session_hash, organisationId: row.organisation_id, userId: row.user_id },
      ...{ createdAtMs: row.created_at_ms, seenAtMs: row.seen_at_ms },
    };
    return { session, user };
  }

  async insertSession({ hash, organisationId, userId, createdAtMs, seenAtMs }: Session): Promise<void> {
    await this.#db
      .insertInto('admin_session')
      .values({
        ...{ organisation_id: organisationId, session_hash: hash, user_id: userId },
        ...{ created_at_ms: createdAtMs, seen_at_ms: seenAtMs },
      })
      .execute();
  }

  async touchSession({ organisationId, hash }: Session, nowMs: number): Promise<void> {
    await this.#db
      .updateTable('admin_session')
      .set({ seen_at_ms: nowMs })
      .where('organisation_id', '=', organisationId)
      .where('session_hash', '=', hash)
      .execute();
  }

  async endSession({ organisationId, hash }: Pick<Session, 'organisationId' | 'hash'>): Promise<void> {
    await this.#db
      .deleteFrom('admin_session')
      .where('organisation_id', '=', organisationId)
      .where('session_hash', '=', hash)
      .execute();
  }

  /** @param kept which goes on; null: none does */
  async endSessionsOf(
    { organisationId, id }: Pick<User, 'organisationId' | 'id'>,
    kept: Pick<Session, 'hash'> | null = null,
  ): Promise<void> {
    await this.#db
      .deleteFrom('admin_session')
      .where('organisation_id', '=', organisationId)
      .where('user_id', '=', id)
      .where('session_hash', '!=', kept?.hash ?? '')
      .execute();
  }

  /** False: it was there already. Older ones are forgotten with it. */
  async insertSpentLogin(hash: string, nowMs: number, forgetBeforeMs: number): Promise<boolean> {
    await this.#db.deleteFrom('spent_login').where('at_ms', '<', forgetBeforeMs).execute();
    const inserted = await this.#db
      .insertInto('spent_login')
      .values({ login_hash: hash, at_ms: nowMs })
      .onConflict((conflict) => conflict.column('login_hash').doNothing())
      .executeTakeFirst();
    return Number(inserted.numInsertedOrUpdatedRows) === 1;
  }

  /** Those that began, or were last used, before these moments: nobody can use them any more. */
  async endOldSessions(createdBeforeMs: number, seenBeforeMs: number): Promise<void> {
    await this.#db
      .deleteFrom('admin_session')
      .where((eb) => eb.or([eb('created_at_ms', '<', createdBeforeMs), eb('seen_at_ms', '<', seenBeforeMs)]))
      .execute();
  }
}

function loginOf(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

/** With a space in it, which the name of nobody who has a password holds. */
function loginFor({ name, identity }: User): string {
  if (identity === null) return loginOf(name);
  const both = JSON.stringify([identity.issuer, identity.subject]);
  return `identity ${createHash('sha256').update(both).digest('hex')}`;
}

function userOf(row: Selectable<PersonTable>): User {
  const { issuer, subject } = row;
  return {
    ...{ id: row.user_id, organisationId: row.organisation_id, name: row.name, grants: grantsOf(row.grants) },
    identity: issuer === null || subject === null ? null : { issuer, subject },
    ...{ createdAtMs: row.created_at_ms, disabledAtMs: row.disabled_at_ms, revision: row.revision },
  };
}

function tokenOf(row: Selectable<ServiceTokenTable>): ServiceToken {
  return {
    ...{ id: row.token_id, organisationId: row.organisation_id, name: row.name, grants: grantsOf(row.grants) },
    ...{ prefix: row.prefix, lastFour: row.last_four, createdAtMs: row.created_at_ms },
    ...{ expiresAtMs: row.expires_at_ms, revokedAtMs: row.revoked_at_ms },
  };
}

/** Of a later version's roles the table of permissions knows nothing, and denies them. */
function grantsOf(text: string): readonly Grant[] {
  return JSON.parse(text) as readonly Grant[];
}
