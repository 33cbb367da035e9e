import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { BudgetRefusal } from '../../core/ledger.ts';
import { longestFitting, retryAfterMs } from './fitting.ts';

test('the longest answer that fits is found, and none that does not', () => {
  const amount = fc.integer({ min: 0, max: 1e9 });
  fc.assert(
    fc.property(
      amount,
      fc.integer({ min: 0, max: 10_000 }),
      amount,
      fc.integer({ min: 1, max: 1e6 }),
      (prompt, rate, room, most) => {
        const costOf = (tokens: number): number => prompt + tokens * rate;
        const fits = longestFitting(room, most, costOf);
        if (fits > 0) expect(costOf(fits)).toBeLessThanOrEqual(room);
        if (fits < most) expect(costOf(fits + 1)).toBeGreaterThan(room);
        expect(fits).toBeLessThanOrEqual(most);
      },
    ),
  );
});

describe('asking again helps', () => {
  const refusal = (change: Partial<BudgetRefusal>): BudgetRefusal => ({
    ...{ budgetId: 'b', scope: 'key', scopeId: 'k', window: 'day', unit: 'usd', limit: 100 },
    ...{ spent: 0, reserved: 0, asked: 10, resetsAtMs: 60_000 },
    ...change,
  });

  test('soon, when calls that run hold what is missing', () => {
    expect(retryAfterMs(refusal({ spent: 80, reserved: 20 }), 0)).toBe(1_000);
  });
  test('when the window ends, when it is spent', () => {
    expect(retryAfterMs(refusal({ spent: 95 }), 10_000)).toBe(50_000);
    expect(retryAfterMs(refusal({ spent: 95 }), 70_000)).toBe(1_000);
  });
  test('never, when the call is dearer than the whole budget or the budget never resets', () => {
    expect(retryAfterMs(refusal({ asked: 101 }), 0)).toBeNull();
    expect(retryAfterMs(refusal({ spent: 95, resetsAtMs: null, window: 'total' }), 0)).toBeNull();
  });
});
