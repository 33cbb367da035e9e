import { describe, expect, test } from 'bun:test';
import type { Purchase } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import { ANYONE } from '../../core/caller.ts';
import type { BudgetLimit } from '../../core/client-key.ts';
import { unboundedText } from './unbounded.ts';

const DAILY: BudgetLimit = { unit: 'usd', limit: 10_000_000, window: 'day', hard: true };

function textOf(model: string, units: readonly BudgetUnit[], hasPrice: boolean, budgets: readonly BudgetLimit[] = []) {
  const request = { caller: { ...ANYONE, name: 'hb', budgets } };
  const target = { id: 'router', adapterKind: 'openrouter', place: 'cloud' };
  return unboundedText({ request, target, model } as unknown as Purchase, hasPrice, units);
}

describe('where nobody can say what a call costs at most, the client is told', () => {
  test('which budget of its key applies, what is not known, and that waiting does not help', () => {
    expect(textOf('house', ['usd'], false, [DAILY])).toMatch(
      /^The key "hb" has a hard budget of 0\.01 USD a day\. No price is known for "house" at the target "router", .*Waiting does not help: .*swarmrouter prices set/,
    );
    expect(textOf('house', ['usd'], true, [DAILY])).toBeNull();
    expect(textOf('house', ['tokens'], false, [])).toBeNull();
  });

  test('that a budget applies which is not its own', () => {
    const soft = { ...DAILY, hard: false };
    expect(textOf('house', ['usd'], false, [soft])).toStartWith(
      'A hard budget in USD applies to this request: one of its organisation, project or model.',
    );
  });

  test('that it is the web search, also where the name with `:online` has no price', () => {
    for (const hasPrice of [true, false]) {
      const text = textOf('house:online', ['usd'], hasPrice, [DAILY]);
      expect(text).toMatch(/0\.01 USD a day\. What the web search of "house:online" costs .* without ':online'\.$/);
    }
  });
});
