import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { sql } from 'kysely';
import type { LedgerOperation } from '../../src/core/ledger.ts';
import { EncodedOperations, encodeOperations } from '../../src/core/ledger-text.ts';
import { BudgetRepository, type StoredBudget } from '../../src/stores/sql/repositories/budgets.ts';
import { PriceRepository } from '../../src/stores/sql/repositories/prices.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { UsageRepository } from '../../src/stores/sql/repositories/usage.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { backends, ending, NOON_MS, openAt, type StorePlace, starting } from './store-support.ts';

const DAY_MS = 86_400_000;
const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

const budget = (changes: Partial<StoredBudget> = {}): Omit<StoredBudget, 'revision'> => ({
  organisationId: 'default',
  budgetId: 'b1',
  scope: 'project',
  scopeId: 'default',
  window: 'day',
  unit: 'usd',
  limit: 100,
  hard: true,
  createdAtMs: 0,
  ...changes,
});

describe.each(all.map((backend) => [backend.name, backend] as const))('the store in %s', (_, backend) => {
  let place: StorePlace;
  let store: SqlStore;
  beforeEach(async () => {
    place = await backend.place();
    store = await openAt(place);
  });
  afterEach(() => store.close());

  const kinds = async (...operations: LedgerOperation[]): Promise<string[]> =>
    (await store.commit('me', operations)).map(({ kind }) => kind);
  const spent = async (atMs = NOON_MS) =>
    (await new BudgetRepository(store.db).states(atMs)).map(({ reserved, settled }) => [reserved, settled]);
  const findings = async () => (await verifyLedger(store)).findings.map(({ rule, subject }) => `${rule} ${subject}`);

  test('has a default organisation and project, and keeps what was written when it is opened again', async () => {
    const tenants = new TenantRepository(store.db);
    expect((await tenants.organisations()).map(({ organisationId }) => organisationId)).toEqual(['default']);
    expect((await tenants.projects('default')).map(({ projectId }) => projectId)).toEqual(['default']);
    await tenants.createProject({ organisationId: 'default', projectId: 'web', name: 'Web', createdAtMs: 1 });
    await store.close();
    store = await openAt(place);
    expect((await new TenantRepository(store.db).projects('default')).map(({ name }) => name)).toEqual([
      'Default',
      'Web',
    ]);
  });

  test('is opened by three at once while it is still empty', async () => {
    const fresh = await backend.place();
    const opened = await Promise.all([openAt(fresh), openAt(fresh), openAt(fresh)]);
    for (const one of opened) expect(await new TenantRepository(one.db).organisations()).toHaveLength(1);
    await Promise.all(opened.map((one) => one.close()));
  });

  test('takes a start and an end once, whatever comes twice', async () => {
    expect(await kinds(starting('a'), starting('a'), ending('a'), ending('a'), ending('never'))).toEqual([
      'done',
      'repeated',
      'done',
      'late',
      'missing',
    ]);
    expect(await kinds(starting('a'), ending('a', { costNanoUsd: 9 }), starting('b'))).toEqual([
      'repeated',
      'late',
      'done',
    ]);
    const rows = await store.db.selectFrom('ledger_attempt').select(['attempt_id', 'state', 'cost_nano_usd']).execute();
    expect(rows.toSorted((a, b) => a.attempt_id.localeCompare(b.attempt_id))).toEqual([
      { attempt_id: 'a', state: 'settled', cost_nano_usd: 0 },
      { attempt_id: 'b', state: 'reserved', cost_nano_usd: null },
    ]);
  });

  test('L-17 admits to a hard budget what fits, refuses the rest one by one and says all about it', async () => {
    await new BudgetRepository(store.db).create(budget());
    const results = await store.commit('me', [
      starting('a', { reservedNanoUsd: 60 }),
      starting('b', { reservedNanoUsd: 60 }),
      starting('c', { reservedNanoUsd: 40 }),
    ]);
    expect(results).toEqual([
      { kind: 'done' },
      {
        kind: 'refused',
        refusal: {
          budgetId: 'b1',
          scope: 'project',
          scopeId: 'default',
          window: 'day',
          unit: 'usd',
          limit: 100,
          spent: 0,
          reserved: 60,
          asked: 60,
          resetsAtMs: Date.UTC(2026, 10, 24),
        },
      },
      { kind: 'done' },
    ]);
    expect(await kinds(ending('a', { costNanoUsd: 10 }), starting('d', { reservedNanoUsd: 50 }))).toEqual([
      'done',
      'done',
    ]);
    expect(await spent()).toEqual([[90, 10]]);
    expect(await findings()).toEqual([]);
  });

  test('sets aside in all budgets that apply, or in none', async () => {
    const budgets = new BudgetRepository(store.db);
    await budgets.create(budget({ budgetId: 'organisation', scope: 'organisation', limit: 1_000 }));
    await budgets.create(budget({ budgetId: 'key', scope: 'key', scopeId: 'alice', limit: 50 }));
    await budgets.create(
      budget({ budgetId: 'tokens', scope: 'model', scopeId: 'qwen2.5-7b', unit: 'tokens', limit: 10 }),
    );
    await budgets.create(budget({ budgetId: 'of another key', scope: 'key', scopeId: 'bob', limit: 0 }));
    await budgets.create(budget({ budgetId: 'soft', hard: false, limit: 1 }));
    expect(
      await kinds(
        starting('a', { reservedNanoUsd: 40, reservedTokens: 4 }),
        starting('b', { reservedNanoUsd: 40, reservedTokens: 4 }),
        starting('c', { reservedNanoUsd: 1, reservedTokens: 7 }),
      ),
    ).toEqual(['done', 'refused', 'refused']);
    // key, of another key, organisation, soft, tokens
    expect((await spent()).map(([reserved]) => reserved)).toEqual([40, 0, 40, 40, 4]);
  });

  test('keeps a call in the window it began in, and begins a new window with nothing spent', async () => {
    await new BudgetRepository(store.db).create(budget());
    await kinds(starting('yesterday', { reservedNanoUsd: 100 }));
    const tomorrow = { startedAtMs: NOON_MS + DAY_MS, reservedNanoUsd: 100 };
    expect(await kinds(starting('today', tomorrow), ending('yesterday', { costNanoUsd: 70 }))).toEqual([
      'done',
      'done',
    ]);
    expect([await spent(), await spent(NOON_MS + DAY_MS)]).toEqual([[[0, 70]], [[100, 0]]]);
  });

  test('gives back what a void set aside, and bills an unknown one what was set aside at most', async () => {
    await new BudgetRepository(store.db).create(budget({ limit: 1_000 }));
    await kinds(...['void', 'unseen', 'seen', 'more'].map((id) => starting(id, { reservedNanoUsd: 100 })));
    await kinds(
      ending('void', { state: 'voided' }),
      ending('unseen', { state: 'unknown', costNanoUsd: null }),
      ending('seen', { state: 'unknown', costNanoUsd: 30 }),
      ending('more', { state: 'unknown', costNanoUsd: 300 }),
    );
    expect(await spent()).toEqual([[0, 230]]);
    expect(await findings()).toEqual([]);
  });

  test('takes many calls at once, whole or in parts, and once only', async () => {
    const budgets = new BudgetRepository(store.db);
    await budgets.create(budget({ hard: false }));
    await budgets.create(budget({ budgetId: 'b2', hard: false, unit: 'tokens', window: 'total', limit: 1 }));
    const calls = Array.from({ length: 150 }, (_, index) => [
      starting(`a${index}`, { reservedNanoUsd: 9, reservedTokens: 500 }, false),
      ending(`a${index}`, { costNanoUsd: index }),
    ]).flat();
    const [begun, rest] = [calls.slice(0, 101), calls.slice(101)];
    expect(new Set(await kinds(...begun))).toEqual(new Set(['done']));
    expect(new Set(await kinds(...rest))).toEqual(new Set(['done']));
    const counted = [
      [0, (150 * 149) / 2],
      [0, 150 * 120],
    ];
    expect(await spent()).toEqual(counted);
    expect(await kinds(...calls)).toEqual(Array.from({ length: 150 }, () => ['repeated', 'late']).flat());
    expect(await kinds(starting('new', {}, false), ending('new'), ending('a7'))).toEqual(['done', 'done', 'late']);
    expect(await spent()).toEqual([counted[0], [0, 151 * 120]] as number[][]);
    expect(await findings()).toEqual([]);
  });

  test('takes what was encoded before as it is', async () => {
    const operations = [starting('a', {}, false), ending('a'), starting('b', {}, false)];
    const encoded = new EncodedOperations([encodeOperations(operations), encodeOperations([ending('b')])], 4);
    expect((await store.commit('me', encoded)).map(({ kind }) => kind)).toEqual(['done', 'done', 'done', 'done']);
    const again = (await store.commit('me', encoded)).map(({ kind }) => kind);
    expect(again).toEqual(['repeated', 'late', 'repeated', 'late']);
  });

  test('goes by the limit that another process has just set, and by a budget that it has just made', async () => {
    const other = await openAt(place);
    expect(await kinds(starting('before', { reservedNanoUsd: 90 }))).toEqual(['done']);
    await new BudgetRepository(other.db).create(budget());
    expect(await kinds(starting('a', { reservedNanoUsd: 60 }))).toEqual(['done']);
    expect(await kinds(starting('b', { reservedNanoUsd: 60 }))).toEqual(['refused']);
    const at = { organisationId: 'default', budgetId: 'b1', revision: 1 };
    await new BudgetRepository(other.db).changeLimit(at, 130, NOON_MS);
    expect(await kinds(starting('b', { reservedNanoUsd: 60 }))).toEqual(['done']);
    await new BudgetRepository(store.db).changeLimit({ ...at, revision: 2 }, 10, NOON_MS);
    expect(await kinds(starting('c', { reservedNanoUsd: 1 }))).toEqual(['refused']);
    await other.close();
  });

  test('refuses to change or delete a row that has ended, whoever asks', async () => {
    await kinds(starting('a'), ending('a'));
    const change = store.db.updateTable('ledger_attempt').set({ cost_nano_usd: 1 }).execute();
    expect(await errorOf(change)).toMatchObject({ message: expect.stringContaining('never change') });
    const deletion = store.db.deleteFrom('ledger_attempt').execute();
    expect(await errorOf(deletion)).toMatchObject({ message: expect.stringContaining('never deleted') });
  });

  test('takes no operation that it could never write, and all others of its batch', async () => {
    const results = await store.commit('me', [
      starting('half', { reservedNanoUsd: 0.5 }),
      starting('a', { model: 'nul \0 here' }),
      ending('a', { inputTokens: -1 }),
      ending('a'),
    ]);
    expect(results.map(({ kind }) => kind)).toEqual(['invalid', 'done', 'invalid', 'done']);
    expect(results[0]).toMatchObject({ message: 'reservedNanoUsd is 0.5, not an integer from 0 to 2^53 - 1' });
  });

  test('resolves what a dead process left open, and takes nothing more in its name', async () => {
    await new BudgetRepository(store.db).create(budget());
    await kinds(starting('a', { reservedNanoUsd: 30 }), starting('b', { reservedNanoUsd: 30 }), ending('b'));
    expect(await store.owners()).toEqual([{ ownerId: 'me', beat: 0, alive: true, openAttempts: 1 }]);
    expect(await store.resolveOrphans('me', NOON_MS)).toBe(1);
    expect(await store.resolveOrphans('me', NOON_MS)).toBe(0);
    expect(await store.owners()).toEqual([]);
    const refused = store.commit('me', []);
    expect(await errorOf(refused)).toMatchObject({ message: expect.stringContaining('declared dead') });
    expect((await store.commit('me again', [ending('a')])).map(({ kind }) => kind)).toEqual(['late']);
    expect(await spent()).toEqual([[0, 30]]);
    expect(await findings()).toEqual([]);
  });

  test('L-19 changes a limit at once for what is not admitted yet, and leaves what was spent alone', async () => {
    const budgets = new BudgetRepository(store.db);
    await budgets.create(budget());
    await kinds(starting('a', { reservedNanoUsd: 80 }));
    await budgets.changeLimit({ organisationId: 'default', budgetId: 'b1', revision: 1 }, 50, NOON_MS);
    expect(await kinds(starting('b', { reservedNanoUsd: 1 }))).toEqual(['refused']);
    expect(await findings()).toEqual([]);
    await budgets.changeLimit({ organisationId: 'default', budgetId: 'b1', revision: 2 }, 90, NOON_MS);
    expect(await kinds(starting('c', { reservedNanoUsd: 10 }))).toEqual(['done']);
    expect(await spent()).toEqual([[90, 0]]);
    await budgets.retire('default', 'b1', NOON_MS);
    expect(await kinds(starting('d', { reservedNanoUsd: 1_000 }), ending('a', { costNanoUsd: 5 }))).toEqual([
      'done',
      'done',
    ]);
    expect(await findings()).toEqual([]);
  });

  test('keeps one price a model and provider, and of two changes of one revision the first', async () => {
    const prices = new PriceRepository(store.db);
    const price = {
      ...{ organisationId: 'default', provider: null, model: 'm', rates: { input: 250 } },
      ...{ updatedAtMs: 1, revision: 1 },
    };
    await prices.set(price);
    expect(await prices.set(price).catch(String)).toContain('not at 0 any more');
    await prices.set({ ...price, rates: { input: 300 }, revision: 2 });
    expect(await prices.set({ ...price, rates: { input: 350 }, revision: 2 }).catch(String)).toContain(
      'not at 1 any more',
    );
    await prices.set({ ...price, provider: 'openrouter' });
    expect((await prices.all()).map(({ provider, rates }) => [provider, rates])).toEqual(
      expect.arrayContaining([
        [null, { input: 300 }],
        ['openrouter', { input: 250 }],
      ]),
    );
    expect(await prices.remove(price).catch(String)).toContain('not at 1 any more');
    await prices.remove({ ...price, revision: 2 });
    expect((await prices.all()).map(({ provider }) => provider)).toEqual(['openrouter']);
  });

  test('counts a local call that nobody saw the end of as unknown, and only one of a cloud as without a price, too', async () => {
    const unseen = {
      state: 'unknown',
      costNanoUsd: null,
      costSource: 'unknown',
      inputTokens: 0,
      outputTokens: 0,
    } as const;
    await kinds(
      starting('own'),
      starting('set-aside', { reservedNanoUsd: 700 }),
      starting('cloud', { place: 'cloud', targetId: 'openrouter' }),
      ...['own', 'set-aside', 'cloud'].map((id) => ending(id, unseen)),
    );
    const query = { organisationId: 'default', projectIds: null, fromMs: 0, toMs: NOON_MS * 2 };
    const [cloud, local] = await new UsageRepository(store.db).sums({ ...query, groupBy: ['place'] });
    expect(local).toMatchObject({ unknown: 2, unpriced: 0, costNanoUsd: 700, maybeNanoUsd: 700 });
    expect(cloud).toMatchObject({ unknown: 1, unpriced: 1 });
  });

  test('sums usage by every group, requests once however often they were tried, and unknown prices apart', async () => {
    await new TenantRepository(store.db).createOrganisation({ organisationId: 'other', name: 'Other', createdAtMs: 0 });
    const elsewhere = { payer: { organisationId: 'other', projectId: 'default', keyId: null } };
    await kinds(
      starting('a1', { requestId: 'a' }),
      starting('a2', { requestId: 'a', attempt: 2, place: 'cloud', targetId: 'openrouter', model: 'gpt' }),
      starting('b', { startedAtMs: NOON_MS + DAY_MS }),
      starting('c', { payer: { organisationId: 'default', projectId: 'web', keyId: null } }),
      starting('open'),
      starting('other', elsewhere),
      ending('a1', { state: 'voided', inputTokens: 0, outputTokens: 0 }),
      ending('a2', { costNanoUsd: 5_000, cachedInputTokens: 60 }),
      ending('b', { costNanoUsd: 0, savedNanoUsd: 7_000 }),
      ending('c', { costNanoUsd: null, costSource: 'unknown' }),
    );
    const usage = new UsageRepository(store.db);
    const query = { organisationId: 'default', projectIds: null, fromMs: 0, toMs: NOON_MS * 2 };
    expect(await usage.sums({ ...query, groupBy: [] })).toEqual([
      {
        group: {},
        requests: 4,
        attempts: 5,
        inputTokens: 300,
        cachedInputTokens: 60,
        outputTokens: 60,
        reasoningTokens: 0,
        costNanoUsd: 5_000,
        savedNanoUsd: 7_000,
        priced: 2,
        unpriced: 1,
        open: 1,
        unknown: 0,
        maybeNanoUsd: 0,
      },
    ]);
    const by = async (...groupBy: ('key' | 'project' | 'model' | 'target' | 'place' | 'day' | 'hour')[]) =>
      (await usage.sums({ ...query, groupBy })).map(({ group, requests }) => [
        ...groupBy.map((name) => group[name]),
        requests,
      ]);
    expect(await by('place')).toEqual([
      ['cloud', 1],
      ['local', 4],
    ]);
    expect(await by('day', 'model')).toEqual([
      [NOON_MS - DAY_MS / 2, 'gpt', 1],
      [NOON_MS - DAY_MS / 2, 'qwen2.5-7b', 3],
      [NOON_MS + DAY_MS / 2, 'qwen2.5-7b', 1],
    ]);
    expect(await by('hour')).toEqual([
      [NOON_MS, 3],
      [NOON_MS + DAY_MS, 1],
    ]);
    expect(new Map((await by('key')) as [string | null, number][])).toEqual(
      new Map([
        ['alice', 3],
        [null, 1],
      ] as const),
    );
    expect(await by('project', 'target')).toEqual([
      ['default', 'lmstudio', 3],
      ['default', 'openrouter', 1],
      ['web', 'lmstudio', 1],
    ]);
    expect(await usage.sums({ ...query, projectIds: ['web'], groupBy: [] })).toMatchObject([{ requests: 1 }]);
  });

  test('counts requests that a client gave one id each by itself, and each once however often it was tried', async () => {
    const cloud = { place: 'cloud', targetId: 'openrouter', attempt: 2 } as const;
    const keyed = { payer: { organisationId: 'default', projectId: 'default', keyId: 'bob' } };
    await kinds(
      ...['s1', 's2', 's3'].map((id) => starting(id, { requestId: 'same' })),
      starting('s3-again', { requestId: 'same', ...cloud }),
      starting('s4', { requestId: 'same', ...keyed }),
      starting('t1', { requestId: 'twice' }),
      starting('t2', { requestId: 'twice', ...cloud }),
    );
    const usage = new UsageRepository(store.db);
    const query = { organisationId: 'default', projectIds: null, fromMs: 0, toMs: NOON_MS * 2 };
    const by = async (...groupBy: ('key' | 'place')[]) =>
      (await usage.sums({ ...query, groupBy })).map(({ group, requests, attempts }) => [
        ...groupBy.map((name) => group[name]),
        ...[requests, attempts],
      ]);
    expect(await by()).toEqual([[5, 7]]);
    expect(await by('place')).toEqual([
      ['cloud', 2, 2],
      ['local', 5, 5],
    ]);
    expect(await by('key')).toEqual([
      ['alice', 4, 6],
      ['bob', 1, 1],
    ]);
  });

  test('exports each row once, oldest first, over several pages', async () => {
    const ids = Array.from({ length: 2_300 }, (_, index) => `attempt-${index}`);
    await kinds(...ids.map((id, index) => starting(id, { startedAtMs: NOON_MS + Math.floor(index / 7) })));
    const exported: string[] = [];
    const query = { organisationId: 'default', projectIds: null, fromMs: NOON_MS, toMs: NOON_MS + DAY_MS };
    for await (const row of new UsageRepository(store.db).export(query)) exported.push(row.attempt_id);
    expect(exported).toHaveLength(ids.length);
    expect(new Set(exported)).toEqual(new Set(ids));
  });

  test('verify names each rule that is broken, and nothing in sound books', async () => {
    await new BudgetRepository(store.db).create(budget());
    await kinds(
      starting('a', { reservedNanoUsd: 10 }),
      starting('b', { reservedNanoUsd: 10 }),
      ending('b', { costNanoUsd: 4 }),
    );
    // Clients may give all their requests one id.
    await kinds(starting('c', { requestId: 'r' }), starting('d', { requestId: 'r' }));
    expect(await findings()).toEqual([]);
    const broken = async (rule: string, text: string) => {
      await sql.raw(text).execute(store.db);
      expect((await findings()).map((finding) => finding.slice(0, 2))).toContain(rule);
    };
    await broken('I7', `update budget set scope_id = 'of nobody' where budget_id = 'b1'`);
    await broken('I2', 'update budget_window set settled = settled + 1');
    await broken('I1', 'update budget_window set reserved = 1000');
    await broken('I3', `update ledger_attempt set cost_nano_usd = 1 where attempt_id = 'a'`);
    await broken('I4', 'update ledger_owner set alive = 0');
    await broken('I6', `update ledger_attempt set project_id = 'gone' where state = 'reserved'`);
    await asAnother(store, ending('c', { inputTokens: 1, cachedInputTokens: 2 }));
    expect((await findings()).map((finding) => finding.slice(0, 2))).toContain('I5');
  });

  test('says that a sound file is sound', async () => {
    expect(await store.checkIntegrity()).toEqual([]);
  });
});

/** Not `rejects`: it holds up the event loop until the answer is there, and the answer comes over the event loop. */
async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}

async function asAnother(store: SqlStore, ...operations: LedgerOperation[]): Promise<void> {
  await store.commit('another', operations);
}
