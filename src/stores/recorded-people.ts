import type { Kysely } from 'kysely';
import type { PeopleStore } from '../core/people.ts';
import type { AuditLog } from './audit-log.ts';
import { PeopleRepository } from './sql/repositories/people.ts';
import { TenantRepository } from './sql/repositories/tenants.ts';
import type { Tables } from './sql/tables.ts';

/** People and machines in the database, each change with its entry in the audit log. */
export function recordedPeople(db: Kysely<Tables>, audit: Pick<AuditLog, 'recordChange'>): PeopleStore {
  const people = new PeopleRepository(db);
  return {
    users: (organisationId) => people.users(organisationId),
    user: (of) => people.user(of),
    userByLogin: (name) => people.userByLogin(name),
    userByIdentity: (identity) => people.userByIdentity(identity),
    createUser: (made, event) => audit.recordChange(event, (work) => new PeopleRepository(work).insertUser(made)),
    changeUser: (user, passwordHash, revision, event) =>
      audit.recordChange(event, async (work) => {
        await new PeopleRepository(work).changeUser(user, passwordHash, revision);
        await new PeopleRepository(work).endSessionsOf(user);
      }),
    changePassword: (user, passwordHash, kept, revision, event) =>
      audit.recordChange(event, async (work) => {
        await new PeopleRepository(work).changeUser(user, passwordHash, revision);
        await new PeopleRepository(work).endSessionsOf(user, kept);
      }),
    spendLogin: (hash, nowMs, forgetBeforeMs) => people.insertSpentLogin(hash, nowMs, forgetBeforeMs),
    tokens: (organisationId) => people.tokens(organisationId),
    token: (of) => people.token(of),
    tokenByHash: (hash) => people.tokenByHash(hash),
    createToken: (token, hash, event) =>
      audit.recordChange(event, (work) => new PeopleRepository(work).insertToken(token, hash)),
    revokeToken: (token, nowMs, event) =>
      audit.recordChange(event, (work) => new PeopleRepository(work).revokeToken(token, nowMs)),
    session: (hash) => people.session(hash),
    beginSession: (session, before, event) =>
      audit.recordChange(event, async (work) => {
        await new PeopleRepository(work).endOldSessions(before.createdMs, before.seenMs);
        await new PeopleRepository(work).insertSession(session);
      }),
    touchSession: (session, nowMs) => people.touchSession(session, nowMs),
    endSession: (session, event) => audit.recordChange(event, (work) => new PeopleRepository(work).endSession(session)),
    projects: async (organisationId) =>
      (await new TenantRepository(db).projects(organisationId)).map(({ projectId }) => projectId),
  };
}
