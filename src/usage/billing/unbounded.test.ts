import { describe, expect, test } from 'bun:test';
import type { Purchase } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import { ANYONE } from '../../core/caller.ts';
import type { NamedBudget } from './budget-words.ts';
import { unboundedText } from './unbounded.ts';

const DAILY: NamedBudget = {
  ...{ budgetId: '', scope: 'key', scopeId: 'key_1', unit: 'usd', limit: 10_000_000, window: 'day' },
  resetsAtMs: Date.UTC(2026, 11, 1),
};
const OF_PROJECT: NamedBudget = {
  ...{ budgetId: 'bud_1', scope: 'project', scopeId: 'web', unit: 'usd', limit: 5_000_000_000, window: 'total' },
  resetsAtMs: null,
};

function textOf(model: string, units: readonly BudgetUnit[], hasPrice: boolean, budgets: readonly NamedBudget[]) {
  const request = { caller: { ...ANYONE, name: 'hb' } };
  const target = { id: 'router', adapterKind: 'openrouter', place: 'cloud' };
  return unboundedText({ request, target, model } as unknown as Purchase, hasPrice, units, () => budgets);
}

describe('where nobody can say what a call costs at most, the client is told', () => {
  test('which budget applies, its limit and its reset, what is not known, and that waiting does not help', () => {
    expect(textOf('house', ['usd'], false, [DAILY])).toMatch(
      /^The hard budget of the key "hb" is 0\.01 USD a day and resets at 2026-12-01T00:00:00\.000Z\. No price is known for "house" at the target "router", .*Waiting does not help: .*swarmrouter prices set/,
    );
    expect(textOf('house', ['usd'], true, [DAILY])).toBeNull();
    expect(textOf('house', ['tokens'], false, [])).toBeNull();
  });

  test('each of several by its name, shared ones with the id to change them by, and none that counts something else', () => {
    const tokens: NamedBudget = { ...OF_PROJECT, unit: 'tokens', limit: 7 };
    expect(textOf('house', ['usd', 'tokens'], false, [DAILY, OF_PROJECT, tokens])).toContain(
      '00.000Z, that of the project "web" (bud_1) is 5 USD in total and does not reset by itself. No price',
    );
    expect(textOf('house', ['usd'], false, [])).toStartWith('A hard budget applies to this request. No price');
  });

  test('that it is the web search, also where the name with `:online` has no price', () => {
    for (const hasPrice of [true, false]) {
      const text = textOf('house:online', ['usd'], hasPrice, [DAILY]);
      expect(text).toMatch(
        /0\.01 USD a day and .*\. What the web search of "house:online" costs .* without ':online'\.$/,
      );
    }
  });
});
