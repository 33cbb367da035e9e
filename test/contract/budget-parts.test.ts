import { afterAll, describe, expect, test } from 'bun:test';
import { sql } from 'kysely';
import { NO_TOKENS } from '../../src/core/ledger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { beforeBudgetParts, hurrying, PARTS } from './earlier-store.ts';
import { backends, ending, openAt, starting } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

/** A store whose calls ended in every way there is, in budgets of both units, and two that run. */
async function fill(store: SqlStore): Promise<void> {
  const free = { organisationId: 'default', projectId: 'free', name: 'Free', createdAtMs: 0 };
  await new TenantRepository(store.db).createProject(free);
  const budgets = new BudgetRepository(store.db);
  const budget = { organisationId: 'default', scope: 'project', scopeId: 'default', createdAtMs: 0 } as const;
  await budgets.create({ ...budget, budgetId: 'day', window: 'day', unit: 'usd', limit: 1e9, hard: true });
  await budgets.create({ ...budget, budgetId: 'tokens', window: 'total', unit: 'tokens', limit: 1e9, hard: false });
  const aside = { reservedNanoUsd: 10, reservedTokens: 5 };
  const unknown = {
    ...NO_TOKENS,
    state: 'unknown',
    costNanoUsd: null,
    costSource: 'unknown',
    estimated: true,
  } as const;
  const started = ['open', 'paid', 'void', 'dear', 'unpriced', 'cut', 'half'].map((id) => starting(id, aside));
  await store.commit('me', [...started, starting('free', { ...aside, payer: NOBODYS })]);
  await store.commit('me', [
    ending('paid', { costNanoUsd: 4 }),
    ending('void', { state: 'voided' }),
    ending('dear', { costNanoUsd: 40 }),
    ending('unpriced', { costNanoUsd: null, costSource: 'unknown' }),
    ending('cut', unknown),
    ending('half', { ...unknown, inputTokens: 3, costNanoUsd: 99 }),
    ending('free', {}),
  ]);
}

/** A call of the same name in another organisation, in a budget of its own. */
async function fillOther(store: SqlStore): Promise<void> {
  const tenants = new TenantRepository(store.db);
  await tenants.createOrganisation({ organisationId: 'other', name: 'Other', createdAtMs: 0 });
  await tenants.createProject({ organisationId: 'other', projectId: 'p', name: 'P', createdAtMs: 0 });
  await new BudgetRepository(store.db).create({
    ...{ organisationId: 'other', budgetId: 'theirs', scope: 'project', scopeId: 'p', createdAtMs: 0 },
    ...{ window: 'month', unit: 'usd', limit: 1e9, hard: true },
  });
  const payer = { organisationId: 'other', projectId: 'p', keyId: null };
  await store.commit('me', [starting('paid', { payer, reservedNanoUsd: 3 })]);
}

const NOBODYS = { organisationId: 'default', projectId: 'free', keyId: null };

async function parts({ db }: SqlStore): Promise<readonly string[]> {
  const rows = await db.selectFrom('budget_part').selectAll().execute();
  return rows.map((row) => JSON.stringify(PARTS.map((name) => row[name as keyof typeof row]))).sort();
}

describe.each(all.map((backend) => [backend.name, backend] as const))('parts in budgets in %s', (_, backend) => {
  test('are those of the rows that an earlier version kept of them, and the calls go on', async () => {
    const place = await backend.place();
    const first = await openAt(place);
    await fill(first);
    await fillOther(first);
    const expected = await parts(first);
    expect(expected).toHaveLength(15);
    await beforeBudgetParts(first);
    await first.close();

    const store = await openAt(place, hurrying());
    try {
      expect(await parts(store)).toEqual(expected);
      expect((await store.commit('me', [ending('open', { costNanoUsd: 7 })])).map(({ kind }) => kind)).toEqual([
        'done',
      ]);
      expect((await verifyLedger(store)).findings).toEqual([]);
      const late = sql.raw("update ledger_attempt set cost_nano_usd = 1 where attempt_id = 'paid'").execute(store.db);
      expect(await late.then(String, String)).toContain('never change');
    } finally {
      await store.close();
    }
  });

  test('are what the windows of budgets are the sums of, however a call ended', async () => {
    const store = await openAt(await backend.place());
    try {
      await fill(store);
      const of = async (attempt: string) =>
        (await store.db.selectFrom('budget_part').selectAll().where('attempt_id', '=', attempt).execute())
          .map(({ budget_id, reserved, settled }) => `${budget_id} ${reserved} ${settled}`)
          .sort();
      expect(await of('open')).toEqual(['day 10 null', 'tokens 5 null']);
      expect(await of('paid')).toEqual(['day 10 4', 'tokens 5 120']);
      expect(await of('void')).toEqual(['day 10 0', 'tokens 5 0']);
      expect(await of('dear')).toEqual(['day 10 40', 'tokens 5 120']);
      expect(await of('unpriced')).toEqual(['day 10 10', 'tokens 5 120']);
      expect(await of('cut')).toEqual(['day 10 10', 'tokens 5 5']);
      expect(await of('half')).toEqual(['day 10 10', 'tokens 5 3']);
      expect(await of('free')).toEqual([]);
      expect((await verifyLedger(store)).findings).toEqual([]);
    } finally {
      await store.close();
    }
  });
});
