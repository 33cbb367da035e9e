import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BudgetBook } from '../../src/admission/budget-book.ts';
import { Budgets } from '../../src/admission/budgets.ts';
import { ClientKeys, type ClientKeysParts, type ShownOnce } from '../../src/admission/client-keys.ts';
import { KeyBook } from '../../src/admission/key-book.ts';
import { keyHasher, pepperCheck } from '../../src/admission/key-hash.ts';
import { KeysInForce } from '../../src/admission/keys-in-force.ts';
import { BudgetExists, NoSuchProject } from '../../src/core/budget-store.ts';
import type { BudgetLimit } from '../../src/core/client-key.ts';
import { type KeyQuery, RevisionConflict } from '../../src/core/key-store.ts';
import { Secret } from '../../src/core/secret.ts';
import { ADMIN_KEY, adminPorts } from '../../src/http/admin/admin-fixture.ts';
import { createAdminApp } from '../../src/http/admin/app.ts';
import { type AuditLog, openAuditLog } from '../../src/stores/audit-log.ts';
import { SqlBudgetStore } from '../../src/stores/sql/repositories/budget-store.ts';
import { ChangeRepository } from '../../src/stores/sql/repositories/changes.ts';
import { SqlKeyStore } from '../../src/stores/sql/repositories/key-store.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { backends, ending, openAt, type StorePlace, starting } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const DAY_MS = 86_400_000;
const hash = keyHasher(new Secret('ab'.repeat(32)));
const origin = { actor: { kind: 'admin', id: 'admin-key' }, peerAddress: null, requestId: null } as const;
const monthly: BudgetLimit = { unit: 'usd', limit: 20e9, window: 'month', hard: true };
const daily: BudgetLimit = { unit: 'tokens', limit: 1_000, window: 'day', hard: false };
const EVERYTHING: KeyQuery = {
  ...{ organisationId: 'default', projectIds: null, name: null, prefix: null, state: null },
  ...{ limit: 1_000, afterId: null },
};

describe.each(all.map((backend) => [backend.name, backend] as const))('client keys in %s', (_, backend) => {
  let place: StorePlace;
  let dataDir: string;
  let clock: ManualClock;
  let store: SqlStore;
  let audit: AuditLog;
  let book: KeyBook;
  let budgetBook: BudgetBook;
  let keys: ClientKeys;
  let budgets: Budgets;
  let count: number;
  beforeEach(async () => {
    place = await backend.place();
    dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-keys-'));
    clock = new ManualClock();
    store = await openAt(place);
    const note = (): void => undefined;
    const logger = { debug: note, info: note, warn: note, error: note };
    audit = await openAuditLog({ db: store.db, dataDir, clock, logger });
    book = new KeyBook(hash);
    budgetBook = new BudgetBook();
    count = 0;
    keys = keysOf();
    budgets = budgetsOf();
  });
  afterEach(async () => {
    await audit.close();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const append: AuditLog['append'] = (transaction, event) => audit.append(transaction, event);
  const keyStore = (change: { append?: AuditLog['append'] } = {}) =>
    new SqlKeyStore({
      ...{ db: store.db, append, newId: () => `bud_${String(++count).padStart(6, '0')}`, ...change },
      pepperCheck: pepperCheck(hash),
    });
  const keysOf = (change: Pick<ClientKeysParts, 'beforeReading'> = {}): ClientKeys =>
    new ClientKeys({
      ...{ store: keyStore(), inForce: new KeysInForce(book, budgetBook), hash, clock },
      newId: () => `key_${String(++count).padStart(6, '0')}`,
      onStored: async () => undefined,
      ...change,
    });
  const budgetsOf = (change: Pick<ClientKeysParts, 'beforeReading'> = {}): Budgets =>
    new Budgets({
      store: new SqlBudgetStore(store.db, append),
      clock,
      newId: () => `bud_${String(++count).padStart(6, '0')}`,
      onStored: async () => undefined,
      ...change,
    });
  const create = (name: string, fields: object = {}): Promise<ShownOnce> =>
    keys.create({ name, organisationId: 'default', ...fields }, origin);
  const stateOf = ({ text }: ShownOnce) => book.find(text.reveal(), clock.wallMs())?.state ?? null;
  const names = async (query: Partial<KeyQuery> = {}) =>
    (await keys.page({ ...EVERYTHING, ...query })).records.map(({ key }) => key.name);
  const budgetRows = () =>
    store.db.selectFrom('budget').select(['scope_id', 'unit', 'limit_amount', 'hard', 'retired_at_ms']).execute();
  const entries = async () =>
    (await store.db.selectFrom('audit_entry').select('action').orderBy('sequence').execute()).map((row) => row.action);

  test('a key is there whole: its project, its budgets as rows and its entry in the log, and it opens the door at once', async () => {
    const fields = { projectId: 'web', owner: 'team a', budgets: [monthly, daily], metadata: { centre: '7' } };
    const made = await create('alice', { ...fields, limits: { rpm: 60, tpm: null, concurrent: 4 } });
    expect(stateOf(made)).toBe('live');
    expect(made.record).toMatchObject({ key: { ...fields, name: 'alice' }, revision: 1 });
    expect(made.record.budgets.map(({ window, spent }) => [window, spent])).toEqual([
      ['month', 0],
      ['day', 0],
    ]);
    expect((await new TenantRepository(store.db).projects('default')).map(({ projectId }) => projectId)).toEqual([
      'default',
      'web',
    ]);
    expect((await budgetRows()).map((row) => [row.scope_id, row.unit, row.limit_amount, row.hard])).toEqual([
      [made.record.key.id, 'usd', 20e9, 1],
      [made.record.key.id, 'tokens', 1_000, 0],
    ]);
    expect(await entries()).toEqual(['key.create']);
  });

  test('nothing of it is there when its entry in the log cannot be written', async () => {
    const failing = new ClientKeys({
      ...{ inForce: new KeysInForce(book, budgetBook), hash, clock, newId: () => 'key_1' },
      onStored: async () => undefined,
      store: keyStore({ append: () => Promise.reject(new Error('the log is full')) }),
    });
    const making = failing.create(
      { name: 'alice', organisationId: 'default', projectId: 'web', budgets: [monthly] },
      origin,
    );
    expect(await errorOf(making)).toMatchObject({ message: 'the log is full' });
    expect([await names(), await budgetRows(), book.size]).toEqual([[], [], 0]);
    expect(await new TenantRepository(store.db).projects('default')).toHaveLength(1);
  });

  test('its text is nowhere in the store', async () => {
    const { text } = await create('alice', { budgets: [monthly] });
    const secret = text.reveal().slice(13, -4);
    const tables = ['client_key', 'client_key_version', 'audit_entry', 'budget', 'meta', 'project'] as const;
    const rows = await Promise.all(tables.map((table) => store.db.selectFrom(table).selectAll().execute()));
    expect(rows.slice(0, 3).every((found) => found.length > 0)).toBe(true);
    expect(JSON.stringify(rows)).not.toContain(secret);
  });

  test('a change is on record and in force; its project moves with it and is there after a restart', async () => {
    const made = await create('alice');
    const { id } = made.record.key;
    const changed = await keys.update(id, () => ({ projectId: 'other', owner: 'team b' }), 1, origin);
    expect(changed).toMatchObject({ revision: 2, key: { projectId: 'other', owner: 'team b', name: 'alice' } });
    expect(book.byId(id)?.projectId).toBe('other');
    const again = await keyStore().all(clock.wallMs());
    expect(again.map(({ key }) => [key.projectId, key.owner])).toEqual([['other', 'team b']]);
    expect(await keys.update('key_nobody', () => ({ owner: null }), null, origin)).toBeNull();
    expect(await entries()).toEqual(['key.create', 'key.update']);
  });

  test('of two that change the same revision one is refused, and changes nothing', async () => {
    const { id } = (await create('alice')).record.key;
    const changing = ['one', 'two', 'three'].map((owner) =>
      keys.update(id, () => ({ owner }), 1, origin).catch((error) => error),
    );
    const outcomes = await Promise.all(changing);
    const [winner, ...others] = outcomes.filter((outcome) => !(outcome instanceof Error));
    expect(others).toEqual([]);
    expect(outcomes.filter((outcome) => outcome instanceof RevisionConflict)).toHaveLength(2);
    const stored = await keys.find(id);
    expect([stored?.revision, stored?.key.owner]).toEqual([2, winner?.key.owner]);
    expect(book.byId(id)?.owner).toBe(winner?.key.owner ?? 'nobody');
    expect(await entries()).toEqual(['key.create', 'key.update']);
  });

  test('a change does not wait until the journal is in the store, and a list of what was spent does', async () => {
    const { id } = (await create('alice', { budgets: [monthly] })).record.key;
    const place = { organisationId: 'default', scope: 'organisation', scopeId: 'default' } as const;
    const budget = await budgets.create({ ...place, ...daily }, origin);
    const { promise: journalTaken, resolve: takeJournal } = Promise.withResolvers<void>();
    const stuck = { beforeReading: () => journalTaken };
    const [keyDesk, budgetDesk] = [async () => keysOf(stuck), async () => budgetsOf(stuck)];
    const desks = { keys: keyDesk, keysIfAny: keyDesk, budgets: budgetDesk, budgetsIfAny: budgetDesk };
    const app = createAdminApp(adminPorts(desks));
    const send = async (method: string, path: string, body?: object) => {
      const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' };
      const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
      return (await app.fetch(new Request(`http://localhost/admin/${path}`, init))).status;
    };
    let isListed = false;
    const paths = ['keys', `keys/${id}`, 'budgets', `budgets/${budget.id}`];
    const lists = paths.map((path) => send('GET', path));
    for (const list of lists) void list.then(() => (isListed = true));
    expect(await send('PATCH', `keys/${id}`, { owner: 'team a' })).toBe(200);
    expect(await send('POST', `keys/${id}/rotate`)).toBe(200);
    expect(await send('DELETE', `keys/${id}`)).toBe(200);
    expect(await send('PATCH', `budgets/${budget.id}`, { hard: true })).toBe(200);
    expect(await send('DELETE', `budgets/${budget.id}`)).toBe(200);
    expect(isListed).toBe(false);
    takeJournal();
    // The budget was removed meanwhile.
    expect(await Promise.all(lists)).toEqual([200, 200, 200, 404]);
  });

  test('a changed limit keeps what was spent, a removed budget counts no more, and a new one begins with nothing', async () => {
    const { id } = (await create('alice', { budgets: [monthly] })).record.key;
    const payer = { organisationId: 'default', projectId: 'default', keyId: id };
    const call = { payer, startedAtMs: clock.wallMs(), reservedNanoUsd: 7e9 };
    await store.commit('me', [starting('a', call), ending('a', { costNanoUsd: 5e9 })]);
    const more = { ...monthly, limit: 30e9 };
    const raised = await keys.update(id, () => ({ budgets: [more, daily] }), null, origin);
    expect(raised?.budgets.map(({ unit, limit, spent }) => [unit, limit, spent])).toEqual([
      ['usd', 30e9, 5e9],
      ['tokens', 1_000, 0],
    ]);
    expect(budgetBook.hardUnits(callerOf(id), 'm')).toEqual(['usd']);
    const left = await keys.update(id, () => ({ budgets: [daily] }), null, origin);
    expect(left?.budgets.map(({ unit }) => unit)).toEqual(['tokens']);
    expect(budgetBook.hardUnits(callerOf(id), 'm')).toEqual([]);
    const back = await keys.update(id, () => ({ budgets: [monthly] }), null, origin);
    expect(back?.budgets.map(({ unit, spent }) => [unit, spent])).toEqual([['usd', 0]]);
  });

  test('rotated twice within the grace, the two newest texts open and the first does not; later only the newest', async () => {
    const first = await create('alice');
    const { id } = first.record.key;
    const rotated = async () => {
      const shown = await keys.rotate(id, DAY_MS, null, origin);
      if (shown === null) throw new Error('no such key');
      return shown;
    };
    const second = await rotated();
    expect([stateOf(first), stateOf(second)]).toEqual(['live', 'live']);
    await clock.advance(DAY_MS / 2);
    const third = await rotated();
    expect([stateOf(first), stateOf(second), stateOf(third)]).toEqual([null, 'live', 'live']);
    expect(await store.db.selectFrom('client_key_version').select('version').orderBy('version').execute()).toEqual([
      { version: 2 },
      { version: 3 },
    ]);
    await clock.advance(DAY_MS);
    expect([stateOf(second), stateOf(third)]).toEqual(['expired', 'live']);
    const [stored] = await keyStore().all(clock.wallMs());
    expect(stored?.key).toEqual(book.byId(id) as NonNullable<typeof stored>['key']);
  });

  test('revoked it opens nothing at once, also when what comes after the change fails', async () => {
    const made = await create('alice');
    const failing = new ClientKeys({
      ...{ store: keyStore(), inForce: new KeysInForce(book, budgetBook), hash, clock, newId: () => 'key_x' },
      onStored: () => Promise.reject(new Error('gone')),
    });
    expect(await errorOf(failing.revoke(made.record.key.id, null, origin))).toMatchObject({ message: 'gone' });
    expect(stateOf(made)).toBe('revoked');
    expect(await names({ state: 'revoked' })).toEqual(['alice']);
  });

  test('pages list each once, oldest first, however they are cut and filtered', async () => {
    for (let index = 0; index < 11; index++) {
      const projectId = index % 2 === 0 ? 'even' : 'odd';
      // Some are made in the same millisecond.
      if (index % 3 === 0) await clock.advance(1);
      await create(`key ${index}`, { projectId, expiresAtMs: index < 3 ? clock.wallMs() + 10 : null });
    }
    const everyName = Array.from({ length: 11 }, (_each, index) => `key ${index}`);
    const pagesOf = async (query: Partial<KeyQuery>): Promise<string[]> => {
      const found: string[] = [];
      for (let afterId: string | null = null, pages = 0; pages < 20; pages++) {
        const page: Awaited<ReturnType<ClientKeys['page']>> = await keys.page({ ...EVERYTHING, ...query, afterId });
        found.push(...page.records.map(({ key }) => key.name));
        if (page.nextAfterId === null) return found;
        afterId = page.nextAfterId;
      }
      throw new Error('the pages have no end');
    };
    for (const limit of [1, 3, 10, 11, 12]) expect(await pagesOf({ limit })).toEqual(everyName);
    expect(await pagesOf({ limit: 2, projectIds: ['odd'] })).toEqual(['key 1', 'key 3', 'key 5', 'key 7', 'key 9']);
    await clock.advance(50);
    const [revoked] = (await keys.page({ ...EVERYTHING, name: 'key 1' })).records;
    await keys.revoke(revoked?.key.id ?? '', null, origin);
    expect(await pagesOf({ limit: 4, state: 'expired' })).toEqual(['key 0', 'key 2']);
    expect(await pagesOf({ limit: 4, state: 'revoked' })).toEqual(['key 1']);
    expect(await pagesOf({ limit: 4, state: 'live' })).toEqual(everyName.slice(3));
    const prefix = revoked?.key.versions[0].prefix ?? '';
    expect(await names({ prefix })).toContain('key 1');
    expect(await names({ prefix: prefix.toUpperCase() })).toEqual([]);
    expect(await names({ name: "' or 1=1 --" })).toEqual([]);
  });

  test('which pepper the newest text was hashed with is known, and not the pepper', async () => {
    expect(await keyStore().pepperCheck()).toBeNull();
    await create('alice');
    expect(await keyStore().pepperCheck()).toBe(pepperCheck(hash));
    const other = keyHasher(new Secret('cd'.repeat(32)));
    expect(pepperCheck(other)).not.toBe(pepperCheck(hash));
  });

  test('a shared budget is made once of each unit and window, for a project that there is', async () => {
    await create('alice', { projectId: 'web' });
    const web = { ...monthly, organisationId: 'default', scope: 'project', scopeId: 'web' } as const;
    const made = await budgets.create(web, origin);
    expect(made).toMatchObject({ ...web, spent: 0, revision: 1 });
    expect(await errorOf(budgets.create(web, origin))).toBeInstanceOf(BudgetExists);
    await budgets.create({ ...web, window: 'day' }, origin);
    await budgets.create({ ...web, scope: 'model' }, origin);
    const lost = await errorOf(budgets.create({ ...web, scopeId: 'wbe' }, origin));
    expect(lost).toBeInstanceOf(NoSuchProject);
    expect((await budgets.all()).map(({ scope, window }) => [scope, window])).toEqual([
      ['project', 'month'],
      ['project', 'day'],
      ['model', 'month'],
    ]);
    // What was refused is not on record.
    expect((await entries()).filter((action) => action === 'budget.create')).toHaveLength(3);
    expect((await audit.verify('default')).ok).toBe(true);
  });

  test('of many that ask for the same budget at once one makes it', async () => {
    const asking = Array.from({ length: 6 }, () =>
      budgets
        .create({ ...monthly, organisationId: 'default', scope: 'model', scopeId: 'm' }, origin)
        .catch((error) => error),
    );
    const refused = (await Promise.all(asking)).filter((outcome) => outcome instanceof Error);
    expect(refused).toHaveLength(5);
    expect(refused.every((error) => error instanceof BudgetExists)).toBe(true);
    expect(await budgets.all()).toHaveLength(1);
  });

  test('a shared budget takes two changes at once that ask for no certain revision', async () => {
    const { id } = await budgets.create(
      { organisationId: 'default', scope: 'organisation', scopeId: 'default', ...monthly },
      origin,
    );
    await Promise.all([
      budgets.update(id, { limit: 7e9 }, null, origin),
      budgets.update(id, { hard: false }, null, origin),
    ]);
    expect(await budgets.find(id)).toMatchObject({ limit: 7e9, hard: false, revision: 3 });
  });

  test('a shared budget is changed at the revision that was seen, and removed once', async () => {
    const { id } = await budgets.create(
      { ...monthly, organisationId: 'default', scope: 'organisation', scopeId: 'default' },
      origin,
    );
    const payer = { organisationId: 'default', projectId: 'default', keyId: null };
    const call = { payer, startedAtMs: clock.wallMs(), reservedNanoUsd: 7e9 };
    await store.commit('me', [starting('a', call), ending('a', { costNanoUsd: 5e9 })]);
    expect(await budgets.update(id, { limit: 1e9 }, 1, origin)).toMatchObject({ limit: 1e9, hard: true, spent: 5e9 });
    expect(await errorOf(budgets.update(id, { hard: false }, 1, origin))).toBeInstanceOf(RevisionConflict);
    const refused = await store.commit('me', [starting('b', { ...call, reservedNanoUsd: 1 })]);
    expect(refused).toMatchObject([{ kind: 'refused', refusal: { scope: 'organisation', limit: 1e9 } }]);
    expect(await budgets.remove(id, 2, origin)).toMatchObject({ id, limit: 1e9 });
    expect(await budgets.remove(id, null, origin)).toBeNull();
    expect(await store.commit('me', [starting('c', { ...call, reservedNanoUsd: 1 })])).toEqual([{ kind: 'done' }]);
    expect(await entries()).toEqual(['budget.create', 'budget.update', 'budget.remove']);
  });

  test('what was changed after one end of the record and up to another is named in its order, and refusals are not', async () => {
    const changes = new ChangeRepository(store.db);
    const before = await changes.ends();
    const { id } = (await create('alice')).record.key;
    await audit.record({ origin, action: 'key.use', subject: `key:${id}`, outcome: 'refused' });
    const middle = await changes.ends();
    await keys.revoke(id, null, origin);
    const after = await changes.ends();
    const created = { action: 'key.create', subject: `key:${id}` };
    const revoked = { action: 'key.revoke', subject: `key:${id}` };
    expect(await changes.between(before, after, 10)).toEqual([created, revoked]);
    expect(await changes.between(before, middle, 10)).toEqual([created]);
    expect(await changes.between(middle, after, 10)).toEqual([revoked]);
    expect(await changes.between(after, after, 10)).toEqual([]);
    expect(await changes.between(before, after, 1)).toBeNull();
  });

  function callerOf(keyId: string) {
    const rights = { policies: { models: null, places: null, routes: null }, budgets: [], metadata: {} };
    const limits = { rpm: null, tpm: null, concurrent: null };
    const who = { kind: 'key', name: 'x', owner: null, organisationId: 'default', projectId: 'default' } as const;
    return { ...who, ...rights, limits, keyId };
  }
});

/** Not `rejects`: it holds up the event loop until the answer is there, and the answer comes over the event loop. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}
