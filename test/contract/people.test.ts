import { afterAll, afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KyselyPlugin } from 'kysely';
import { Identities } from '../../src/admission/identities.ts';
import { keyHasher } from '../../src/admission/key-hash.ts';
import { LoginThrottle } from '../../src/admission/login-throttle.ts';
import { People } from '../../src/admission/people.ts';
import { SharedLimitDesk } from '../../src/admission/shared-limits.ts';
import { Tenants } from '../../src/admission/tenants.ts';
import { RevisionConflict } from '../../src/core/key-store.ts';
import { GrantRefused, NameTaken, NotOurs, type Vouched } from '../../src/core/people.ts';
import { ADMIN_KEY_PRINCIPAL, type Principal } from '../../src/core/principal.ts';
import { Secret } from '../../src/core/secret.ts';
import { TenantExists } from '../../src/core/tenants.ts';
import { type AuditLog, openAuditLog } from '../../src/stores/audit-log.ts';
import { recordedPeople } from '../../src/stores/recorded-people.ts';
import { recordedSharedLimits, recordedTenants } from '../../src/stores/recorded-tenants.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { backends, openAt, type StorePlace } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const ISSUER = 'https://login.example.com';
const HOUR_MS = 3_600_000;
// Each password that is checked takes what it is made to take.
setDefaultTimeout(30_000);
const origin = { actor: { kind: 'admin', id: 'admin-key' }, peerAddress: '10.0.0.9', requestId: null } as const;
const from = { peerAddress: '10.0.0.9', requestId: null };
const asAdminKey = { principal: ADMIN_KEY_PRINCIPAL, origin };
const password = new Secret('correct horse battery');
const wrong = new Secret('wrong');
const hash = keyHasher(new Secret('ab'.repeat(32)));

const vouched = (name: string, subject: string): Vouched => ({
  identity: { issuer: ISSUER, subject },
  ...{ name, grants: [{ role: 'member', projectId: null }] },
});

/** Counts the rows that come back from the store. */
class RowCounter implements KyselyPlugin {
  #rows = 0;

  transformQuery: KyselyPlugin['transformQuery'] = ({ node }) => node;

  transformResult: KyselyPlugin['transformResult'] = async ({ result }) => {
    this.#rows += result.rows.length;
    return result;
  };

  async during(work: () => Promise<unknown>): Promise<number> {
    const before = this.#rows;
    await work();
    return this.#rows - before;
  }
}

/** What it was rejected with. */
const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe.each(all.map((backend) => [backend.name, backend] as const))('S-02 L-06 people in %s', (_, backend) => {
  let place: StorePlace;
  let dataDir: string;
  let clock: ManualClock;
  let store: SqlStore;
  let audit: AuditLog;
  let people: People;
  let throttle: LoginThrottle;
  let tenants: Tenants;
  let limits: SharedLimitDesk;
  beforeEach(async () => {
    place = await backend.place();
    dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-people-'));
    clock = new ManualClock();
    store = await openAt(place);
    const note = (): void => undefined;
    audit = await openAuditLog({
      db: store.db,
      dataDir,
      clock,
      logger: { debug: note, info: note, warn: note, error: note },
    });
    throttle = new LoginThrottle(clock);
    people = peopleOf();
    tenants = new Tenants(recordedTenants(store.db, audit), clock);
    limits = new SharedLimitDesk({
      store: recordedSharedLimits(store.db, audit),
      projects: async (id) => (await tenants.projects(id)).map(({ projectId }) => projectId),
      onStored: async () => undefined,
    });
  });
  afterEach(async () => {
    await audit.close();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  let count = 0;
  /** As another gateway on the same store has it. */
  const peopleOf = (db = store.db, issuer: string | null = ISSUER): People =>
    new People({
      ...{ store: recordedPeople(db, audit), hash, clock, throttle, issuer },
      newId: (kind) => `${kind}_${++count}`,
    });
  let begun = 0;
  const enter = (someone: Vouched, begunWith = `login ${++begun}`) =>
    new Identities({
      ...{ store: recordedPeople(store.db, audit), clock, issuer: ISSUER, newId: (kind) => `${kind}_${++count}` },
    }).enter(someone, begunWith, from);
  const entries = async () => {
    const query = { organisationId: 'default', fromMs: null, toMs: null, actor: null, action: null, subject: null };
    return (await audit.list({ ...query, limit: 10, beforeSequence: null })).entries;
  };
  const create = (name: string) =>
    people.createUser({ name, grants: [{ role: 'member', projectId: null }], password }, asAdminKey);
  const login = async (name = 'alice'): Promise<string> => {
    const result = await people.login(name, password, from);
    if (!result.ok) throw new Error(result.reason);
    return result.text.reveal();
  };

  test('a login is whose it is at every gateway on the store, until it ends', async () => {
    const { id } = await create('Alice');
    const cookie = await login('aLICE');
    const other = peopleOf();
    expect(await other.ofSession(cookie)).toMatchObject({ kind: 'user', id, name: 'Alice', organisationId: 'default' });
    expect(await other.ofSession(cookie.replace(/.$/, '!'))).toBeNull();
    expect(await people.logout(cookie, from)).toMatchObject({ id });
    expect(await other.ofSession(cookie)).toBeNull();
    expect(await people.logout(cookie, from)).toBeNull();
  });

  test('one user, session or token is looked up without reading the others of the organisation', async () => {
    const rows = new RowCounter();
    const counted = peopleOf(store.db.withPlugin(rows));
    const grants = [{ role: 'member', projectId: null }] as const;
    const ids: Record<'user' | 'token', string>[] = [];
    for (const name of ['alice', 'bob', 'carol', 'dave']) {
      const { token } = await people.createToken({ name, grants, expiresAtMs: null }, asAdminKey);
      ids.push({ user: (await create(name)).id, token: token.id });
    }
    const { user, token } = ids[1] ?? { user: '', token: '' };
    const cookie = await login('bob');
    expect(await rows.during(() => counted.ofSession(cookie))).toBe(2);
    expect(await rows.during(() => counted.changeUser(user, { grants }, null, asAdminKey))).toBe(1);
    expect(await rows.during(() => counted.revokeToken(token, null, asAdminKey))).toBe(1);
    expect((await people.users('default')).find(({ id }) => id === user)?.revision).toBe(2);
    expect((await people.tokens('default')).filter(({ revokedAtMs }) => revokedAtMs !== null)).toMatchObject([
      { id: token, name: 'bob' },
    ]);
  });

  test('a session ends twelve hours after its last request, and seven days after its login whatever it did', async () => {
    await create('alice');
    const idle = await login();
    await clock.advance(12 * HOUR_MS - 1);
    expect(await people.ofSession(idle)).not.toBeNull();
    await clock.advance(12 * HOUR_MS);
    expect(await people.ofSession(idle)).toBeNull();
    const busy = await login();
    for (let hours = 0; hours < 7 * 24 - 8; hours += 8) {
      await clock.advance(8 * HOUR_MS);
      expect(await people.ofSession(busy)).not.toBeNull();
    }
    await clock.advance(8 * HOUR_MS);
    expect(await people.ofSession(busy)).toBeNull();
  });

  test('a change of a user ends their sessions, and is made at the revision that was seen', async () => {
    const { id } = await create('alice');
    const cookie = await login();
    const change = { grants: [{ role: 'auditor', projectId: 'default' }] } as const;
    expect(await people.changeUser(id, change, 1, asAdminKey)).toMatchObject({ ...change, revision: 2 });
    expect(await people.ofSession(cookie)).toBeNull();
    expect(await errorOf(people.changeUser(id, { disabled: true }, 1, asAdminKey))).toBeInstanceOf(RevisionConflict);
    expect(await login()).toHaveLength(43);
    await people.changeUser(id, { disabled: true }, 2, asAdminKey);
    expect(await people.login('alice', password, from)).toEqual({ ok: false, reason: 'wrong_password' });
    await people.changeUser(id, { disabled: false, password: new Secret('another long one') }, 3, asAdminKey);
    expect(await people.login('alice', password, from)).toEqual({ ok: false, reason: 'wrong_password' });
    expect(await people.changeUser('usr_nobody', {}, null, asAdminKey)).toBeNull();
  });

  test('of one name there is one user, however many make it at once', async () => {
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => errorOf(create('bob'))));
    expect(outcomes.filter((error) => error instanceof NameTaken)).toHaveLength(3);
    expect(await people.users('default')).toHaveLength(1);
  });

  test('whoever tries passwords is slowed down by account, however it is written, and by address', async () => {
    await create('alice');
    for (let tries = 0; tries < 10; tries++) await people.login(tries % 2 === 0 ? 'alice' : 'ALICE', wrong, from);
    expect(await people.login('alice', password, { ...from, peerAddress: '10.0.0.10' })).toMatchObject({
      reason: 'throttled',
    });
    await clock.advance(15 * 60_000);
    expect(await people.login('alice', password, from)).toMatchObject({ ok: true });
  });

  test('whoever changes their own password keeps the session that does it, and loses the others', async () => {
    const { id } = await create('alice');
    const [here, elsewhere] = [await login(), await login()];
    const next = new Secret('another long one');
    expect(await people.changePassword(here, { current: wrong, next }, from)).toMatchObject({
      reason: 'wrong_password',
    });
    expect(await people.changePassword(here.replace(/.$/, '!'), { current: password, next }, from)).toMatchObject({
      reason: 'no_password',
    });
    expect(await people.changePassword(here, { current: password, next }, from)).toMatchObject({
      user: { id, revision: 2 },
    });
    expect(await people.ofSession(here)).toMatchObject({ id, loginMethod: 'password' });
    expect(await people.ofSession(elsewhere)).toBeNull();
    expect(await people.login('alice', password, from)).toMatchObject({ ok: false });
    expect(await people.login('alice', next, from)).toMatchObject({ ok: true });
    const [entry] = await entries();
    expect(entry).toMatchObject({ action: 'session.login', after: '{"method":"password"}' });
    expect((await entries())[1]).toMatchObject({ action: 'user.update', actorKind: 'user', actorId: id });
  });

  test('tries of the current password are slowed down as logins are', async () => {
    await create('alice');
    const cookie = await login();
    const next = new Secret('another long one');
    for (let tries = 1; tries < 10; tries++) throttle.begin('ALICE', from.peerAddress);
    expect(await people.changePassword(cookie, { current: wrong, next }, from)).toMatchObject({
      reason: 'wrong_password',
    });
    expect(await people.changePassword(cookie, { current: password, next }, from)).toMatchObject({
      reason: 'throttled',
    });
    expect(await people.login('alice', password, from)).toMatchObject({ reason: 'throttled' });
  });

  test('somebody of an identity provider is found by issuer and subject alone, and is nobody a password opens', async () => {
    const ann = vouched('ann', 'ann-1');
    const entered = await enter(ann);
    if (!entered.ok) throw new Error(entered.reason);
    expect(entered.user).toMatchObject({ ...ann, organisationId: 'default', revision: 1 });
    expect(await people.ofSession(entered.text.reveal())).toMatchObject({ id: entered.user.id, loginMethod: 'oidc' });
    const again = await enter({ ...ann, name: 'ann smith' });
    expect(again).toMatchObject({ ok: true, user: { id: entered.user.id, name: 'ann smith', revision: 2 } });
    expect(await enter(vouched('ann', 'ann-2'))).toMatchObject({ ok: true });
    expect(await enter({ ...ann, identity: { issuer: 'https://other.example', subject: 'ann-1' } })).toMatchObject({
      ok: true,
    });
    expect(new Set((await people.users('default')).map(({ id }) => id)).size).toBe(3);
    const row = await store.db.selectFrom('person').selectAll().executeTakeFirstOrThrow();
    for (const name of [row.name, row.login]) {
      expect(await people.login(name, new Secret(row.password_hash), from)).toMatchObject({ reason: 'wrong_password' });
    }
    // Called like somebody who has a password, they do not change that one either.
    await create('alice');
    const alike = await enter(vouched('alice', 'ann-3'));
    if (!alike.ok) throw new Error(alike.reason);
    const passwords = { current: password, next: new Secret('another long one') };
    expect(await people.changePassword(alike.text.reveal(), passwords, from)).toEqual({
      ok: false,
      reason: 'no_password',
    });
    const change = { password: new Secret('correct horse battery') };
    expect(await errorOf(people.changeUser(entered.user.id, change, null, asAdminKey))).toBeInstanceOf(NotOurs);
  });

  test('of one identity there is one user, however many logins there are at once, and each login counts once', async () => {
    const ann = vouched('ann', 'ann-1');
    const logins = await Promise.all(
      ['one', 'two', 'three', 'three', 'three'].map((begunWith) => enter(ann, begunWith)),
    );
    expect(logins.map((one) => (one.ok ? 'in' : one.reason)).sort()).toEqual([
      'in',
      'in',
      'in',
      'replayed',
      'replayed',
    ]);
    expect(await people.users('default')).toHaveLength(1);
    await clock.advance(2 * 86_400_000);
    await enter(ann, 'four');
    expect(await store.db.selectFrom('spent_login').selectAll().execute()).toHaveLength(1);
  });

  test('whose claims give other roles has these, and sessions with them alone; without any they are not let in', async () => {
    const grants = [{ role: 'owner', projectId: null }] as const;
    const [first, second] = [await enter(vouched('ann', 'ann-1')), await enter({ ...vouched('ann', 'ann-1'), grants })];
    if (!first.ok || !second.ok) throw new Error('not let in');
    expect(await people.ofSession(first.text.reveal())).toBeNull();
    expect(await people.ofSession(second.text.reveal())).toMatchObject({ grants });
    const lost = [{ role: 'member', projectId: 'no-such-project' }] as const;
    expect(await enter({ ...vouched('ann', 'ann-1'), grants: lost })).toEqual({ ok: false, reason: 'no_role' });
    expect(await people.ofSession(second.text.reveal())).toBeNull();
    expect(await enter({ ...vouched('bob', 'bob-1'), grants: [] })).toEqual({ ok: false, reason: 'no_role' });
    expect((await people.users('default')).map(({ name, grants }) => [name, grants.length])).toEqual([['ann', 0]]);
    const deeds = (await entries()).map(({ action, actorKind, actorId }) => `${actorKind} ${actorId} ${action}`);
    expect(deeds[0]).toBe('system oidc user.update');
    expect((await audit.verify('default')).ok).toBe(true);
  });

  test('whose claims are the same again goes on with the sessions they have', async () => {
    const [first, second] = [await enter(vouched('ann', 'ann-1')), await enter(vouched('ann', 'ann-1'))];
    if (!first.ok || !second.ok) throw new Error('not let in');
    expect(await people.ofSession(first.text.reveal())).toMatchObject({ id: first.user.id });
    expect((await people.users('default')).map(({ revision }) => revision)).toEqual([1]);
  });

  test('whoever was shut out is not let in whatever their claims, stays as they were, and no session of theirs opens anything', async () => {
    const entered = await enter(vouched('ann', 'ann-1'));
    if (!entered.ok) throw new Error(entered.reason);
    await people.changeUser(entered.user.id, { disabled: true }, null, asAdminKey);
    const shutOut = await people.users('default');
    const grants = [{ role: 'owner', projectId: null }] as const;
    for (const claims of [vouched('ann', 'ann-1'), { ...vouched('ann smith', 'ann-1'), grants }]) {
      expect(await enter(claims)).toEqual({ ok: false, reason: 'disabled' });
    }
    expect(await people.users('default')).toEqual(shutOut);
    // As a login that was under way meanwhile would have left them.
    await create('alice');
    const cookie = await login();
    await store.db.updateTable('person').set({ disabled_at_ms: 1 }).execute();
    expect(await people.ofSession(cookie)).toBeNull();
    expect(await people.login('alice', password, from)).toMatchObject({ ok: false, reason: 'wrong_password' });
  });

  test('a session of a provider’s people ends with the provider, and one that is not there changes no password', async () => {
    const entered = await enter(vouched('ann', 'ann-1'));
    if (!entered.ok) throw new Error(entered.reason);
    const cookie = entered.text.reveal();
    for (const issuer of [null, 'https://other.example.com'])
      expect(await peopleOf(store.db, issuer).ofSession(cookie)).toBeNull();
    expect(await peopleOf().ofSession(cookie)).toMatchObject({ id: entered.user.id });
    const passwords = { current: password, next: new Secret('another long one') };
    const changed = await people.changePassword('x'.repeat(43), passwords, from);
    expect(changed).toEqual({ ok: false, reason: 'no_password' });
  });

  test('a token is what its role is until it is revoked or expires, at every gateway with the same pepper', async () => {
    const expiresAtMs = clock.wallMs() + 1_000;
    const grants = [{ role: 'operator', projectId: null }] as const;
    const { text, token } = await people.createToken({ name: 'ci', grants, expiresAtMs }, asAdminKey);
    const other = peopleOf();
    expect(await other.ofToken(text.reveal())).toMatchObject({ kind: 'token', id: token.id, grants });
    expect(await other.ofToken(`${text.reveal().slice(0, -1)}x`)).toBeNull();
    await clock.advance(1_000);
    expect(await other.ofToken(text.reveal())).toBeNull();
    const lasting = await people.createToken({ name: 'ci', grants, expiresAtMs: null }, asAdminKey);
    expect(await errorOf(people.revokeToken(lasting.token.id, 2, asAdminKey))).toBeInstanceOf(RevisionConflict);
    await people.revokeToken(lasting.token.id, 1, asAdminKey);
    expect(await errorOf(people.revokeToken(lasting.token.id, 1, asAdminKey))).toBeInstanceOf(RevisionConflict);
    expect(await other.ofToken(lasting.text.reveal())).toBeNull();
    expect(await people.revokeToken('tok_nobody', null, asAdminKey)).toBeNull();
  });

  test('what an organisation’s people do reaches nobody of another one', async () => {
    await tenants.createOrganisation({ organisationId: 'acme', name: 'Acme' }, origin);
    const alice = await create('alice');
    const theirs: Principal = { ...ADMIN_KEY_PRINCIPAL, kind: 'user', organisationId: 'acme' };
    const asTheirs = { principal: theirs, origin };
    expect(await people.changeUser(alice.id, { disabled: true }, null, asTheirs)).toBeNull();
    expect(await people.users('acme')).toEqual([]);
    const admin = { ...theirs, grants: [{ role: 'admin', projectId: null }] } as const;
    const owner = { name: 'x', grants: [{ role: 'owner', projectId: null }], expiresAtMs: null } as const;
    expect(await errorOf(people.createToken(owner, { principal: admin, origin }))).toBeInstanceOf(GrantRefused);
  });

  test('a tenant is made once, and renamed at the revision that was seen', async () => {
    const acme = { organisationId: 'acme', name: 'Acme' };
    await tenants.createOrganisation(acme, origin);
    expect(await errorOf(tenants.createOrganisation(acme, origin))).toBeInstanceOf(TenantExists);
    expect((await tenants.projects('acme')).map(({ projectId }) => projectId)).toEqual(['default']);
    await tenants.createProject({ organisationId: 'acme', projectId: 'web', name: 'Web' }, origin);
    const web = { organisationId: 'acme', projectId: 'web' };
    expect(await tenants.renameProject(web, 'Website', 1, origin)).toMatchObject({ name: 'Website', revision: 2 });
    expect(await errorOf(tenants.renameProject(web, 'Site', 1, origin))).toBeInstanceOf(RevisionConflict);
    expect(await tenants.renameOrganisation('acme', 'ACME', null, origin)).toMatchObject({ name: 'ACME', revision: 2 });
    expect(await tenants.renameProject({ ...web, projectId: 'wbe' }, 'x', null, origin)).toBeNull();
    const names = (await tenants.organisations()).map(({ organisationId, name }) => [organisationId, name]);
    expect(names).toEqual([
      ['acme', 'ACME'],
      ['default', 'Default'],
    ]);
  });

  test('a user, an organisation and a project take all of several changes at once that ask for no certain revision', async () => {
    const { id } = await create('alice');
    const grants = [{ role: 'auditor', projectId: null }] as const;
    const changes = [{ grants }, { disabled: true }, {}].map((change) =>
      people.changeUser(id, change, null, asAdminKey),
    );
    expect((await Promise.all(changes)).map((user) => user?.revision).toSorted()).toEqual([2, 3, 4]);
    const [user] = await people.users('default');
    expect(user).toMatchObject({ grants, disabledAtMs: clock.wallMs(), revision: 4 });
    const place = { organisationId: 'default', projectId: 'default' };
    const names = ['a', 'b', 'c'];
    const renamed = await Promise.all([
      ...names.map((name) => tenants.renameOrganisation('default', name, null, origin)),
      ...names.map((name) => tenants.renameProject(place, name, null, origin)),
    ]);
    expect(renamed.map((one) => one?.revision).toSorted()).toEqual([2, 2, 3, 3, 4, 4]);
  });

  test('a shared limit is changed in parts, and two changes of one revision do not both count', async () => {
    const place = { organisationId: 'default', scope: 'model', scopeId: 'qwen' } as const;
    expect(await limits.set(place, { rpm: 5 }, null, origin)).toMatchObject({
      revision: 1,
      limits: { rpm: 5, tpm: null },
    });
    const both = await Promise.all([
      errorOf(limits.set(place, { tpm: 7 }, 1, origin)),
      errorOf(limits.set(place, { concurrent: 9 }, 1, origin)),
    ]);
    expect(both.filter((error) => error instanceof RevisionConflict)).toHaveLength(1);
    expect((await limits.of('default'))[0]).toMatchObject({ revision: 2, limits: { rpm: 5 } });
    expect(await limits.remove(place, 2, origin)).toMatchObject({ revision: 2 });
    expect(await limits.remove(place, null, origin)).toBeNull();
  });

  test('a shared limit takes all of several changes at once that ask for no certain revision', async () => {
    const place = { organisationId: 'default', scope: 'model', scopeId: 'qwen' } as const;
    await Promise.all(
      [{ rpm: 5 }, { tpm: 7 }, { concurrent: 9 }].map((given) => limits.set(place, given, null, origin)),
    );
    expect((await limits.of('default'))[0]).toMatchObject({ revision: 3, limits: { rpm: 5, tpm: 7, concurrent: 9 } });
  });

  test('every change is on the log in its own transaction, with no password and no token', async () => {
    const { id } = await create('alice');
    await people.changeUser(id, { password: new Secret('another long one') }, null, asAdminKey);
    const grants = [{ role: 'member', projectId: null }] as const;
    const { text } = await people.createToken({ name: 'ci', grants, expiresAtMs: null }, asAdminKey);
    const log = await entries();
    expect(log.map(({ action }) => action)).toEqual(['token.create', 'user.update', 'user.create']);
    const shown = JSON.stringify(log);
    for (const secret of [password.reveal(), 'another long one', text.reveal().slice(14, -4), 'scrypt']) {
      expect(shown).not.toContain(secret);
    }
    expect((await audit.verify('default')).ok).toBe(true);
  });
});
