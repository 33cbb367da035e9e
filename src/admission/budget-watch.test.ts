import { beforeEach, describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { type BudgetReading, BudgetWatch } from './budget-watch.ts';

const MONTH_END_MS = Date.UTC(2026, 11, 1);
const budget: BudgetReading = {
  ...{ organisationId: 'default', budgetId: 'bud_1', scope: 'project', scopeId: 'web', unit: 'usd', window: 'month' },
  ...{ limit: 20e9, hard: false, settled: 0, resetsAtMs: MONTH_END_MS },
};
const usd = (spent: number): number => spent * 1e9;

let clock: ManualClock;
let readings: readonly BudgetReading[] | Error;
let warnings: { readonly message: string; readonly fields: Record<string, unknown> }[];
let watch: BudgetWatch;
beforeEach(() => {
  clock = new ManualClock();
  warnings = [];
  const note = (): void => undefined;
  const warn = (fields: object, message: string): void => void warnings.push({ message, fields: { ...fields } });
  watch = new BudgetWatch({
    read: async () => {
      if (readings instanceof Error) throw readings;
      return readings;
    },
    keyName: (id) => (id === 'key_1' ? 'alice' : null),
    clock,
    logger: { debug: note, info: note, warn, error: note },
  });
});

const spend = async (dollars: number, change: Partial<BudgetReading> = {}): Promise<string[]> => {
  readings = [{ ...budget, settled: usd(dollars), ...change }];
  await watch.look();
  return warnings.splice(0).map(({ message }) => message.replace(/\D/g, ''));
};

describe('a budget', () => {
  test('is warned of once at 50, 80 and 100 % of its limit', async () => {
    const said = [];
    for (const dollars of [9.99, 10, 11, 16, 17, 19.99, 20, 25]) said.push(await spend(dollars));
    expect(said).toEqual([[], ['50'], [], ['80'], [], [], ['100'], []]);
  });

  test('that jumps over several is warned of once, with the highest', async () => {
    expect(await spend(19)).toEqual(['80']);
    expect(await spend(21)).toEqual(['100']);
  });

  test('is warned of again in its next window, and when its limit was raised and reached again', async () => {
    expect(await spend(20)).toEqual(['100']);
    expect(await spend(10, { resetsAtMs: MONTH_END_MS + 1 })).toEqual(['50']);
    expect(await spend(10, { resetsAtMs: MONTH_END_MS + 1, limit: usd(100) })).toEqual([]);
    expect(await spend(50, { resetsAtMs: MONTH_END_MS + 1, limit: usd(100) })).toEqual(['50']);
  });

  test('of 0 has used all of it once something is spent, and nothing before', async () => {
    expect(await spend(0, { limit: 0 })).toEqual([]);
    expect(watch.used()).toMatchObject([{ ratio: 0 }]);
    expect(await spend(1, { limit: 0 })).toEqual(['100']);
  });

  test('is named in the warning, with what it is of and when it begins anew', async () => {
    readings = [{ ...budget, settled: usd(10) }];
    await watch.look();
    expect(warnings[0]?.fields).toEqual({
      ...{ budget: 'bud_1', organisation: 'default', scope: 'project', name: 'web', unit: 'nano_usd', window: 'month' },
      ...{ limit: 20e9, spent: 10e9, hard: false, resets_at: '2026-12-01T00:00:00.000Z' },
    });
  });
});

test('a budget of a key is named by the key, in the warning and where it is shown', async () => {
  readings = [{ ...budget, scope: 'key', scopeId: 'key_1', settled: usd(10) }];
  await watch.look();
  expect(warnings[0]?.fields).toMatchObject({ scope: 'key', name: 'alice', key: 'key_1' });
  expect(watch.used()).toMatchObject([{ keyName: 'alice', ratio: 0.5 }]);
});

describe('the watch', () => {
  test('looks every ten seconds, and shows what was read last while the store does not answer', async () => {
    readings = [{ ...budget, settled: usd(5) }];
    watch.start();
    await clock.advance(10_000);
    expect(watch.used()).toMatchObject([{ ratio: 0.25 }]);
    readings = new Error('gone');
    await clock.advance(10_000);
    expect(watch.used()).toMatchObject([{ ratio: 0.25 }]);
    readings = [{ ...budget, settled: usd(10) }];
    await clock.advance(10_000);
    expect(watch.used()).toMatchObject([{ ratio: 0.5 }]);
    expect(warnings).toHaveLength(1);
    await watch.stop();
    readings = [];
    await clock.advance(30_000);
    expect(watch.used()).toHaveLength(1);
  });

  test('shows at most a hundred budgets, those that have used most', async () => {
    readings = Array.from({ length: 150 }, (_, at) => ({ ...budget, budgetId: `bud_${at}`, settled: usd(at / 10) }));
    await watch.look();
    const shown = watch.used();
    expect([shown.length, shown[0]?.budget.budgetId]).toEqual([100, 'bud_149']);
  });
});
