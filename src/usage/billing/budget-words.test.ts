import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { BudgetRefusal } from '../../core/ledger.ts';
import { type Fitting, refusalText } from './budget-words.ts';

const REFUSAL: BudgetRefusal = {
  ...{ budgetId: 'bud_1', scope: 'key', scopeId: 'key_01a2', window: 'day', unit: 'usd', limit: 100_000 },
  ...{ spent: 95_000, reserved: 0, asked: 10_000, resetsAtMs: Date.UTC(2026, 11, 1) },
};
const ASKED = { field: 'max_tokens', answers: 1 } as const;
const textOf = (
  change: Partial<BudgetRefusal> = {},
  fits: Partial<Fitting> = { now: 0, ever: 500 },
  asked?: number,
): string => {
  const refusal = { ...REFUSAL, ...change };
  return refusalText(refusal, { name: 'hb' }, asked ?? refusal.asked, { now: 0, ever: 0, ...ASKED, ...fits });
};

test('every refusal of a budget says when it resets, or that it does not', () => {
  const change = fc.record({
    limit: fc.nat(300_000),
    asked: fc.integer({ min: 1, max: 300_000 }),
    resetsAtMs: fc.constantFrom(null, REFUSAL.resetsAtMs),
  });
  const fits = fc.record({ now: fc.nat(9), ever: fc.nat(900) });
  fc.assert(
    fc.property(change, fits, fc.nat(300_000), (changed, fitting, asked) => {
      const text = textOf(changed, fitting, asked);
      if (changed.resetsAtMs === null) expect(text).toContain('does not reset by itself');
      else expect(text.match(/2026-12-01T00:00:00\.000Z/g)).toHaveLength(1);
    }),
  );
});

describe('whoever a hard budget refuses is told', () => {
  test('whose it is: a key by its name, all else by what it is called and the id to change it by', () => {
    expect(textOf()).toStartWith('The budget of the key "hb" is 0.0001 USD a day: 0.000095 USD spent,');
    expect(textOf()).not.toMatch(/key_|bud_/);
    expect(textOf({ scope: 'project', scopeId: 'web' })).toStartWith('The budget of the project "web" (bud_1) is');
  });

  test('when it resets, where that helps, and what fits before', () => {
    expect(textOf()).toEndWith('It resets at 2026-12-01T00:00:00.000Z. Its prompt alone does not fit now.');
    expect(textOf({}, { now: 7, ever: 900 })).toEndWith('With max_tokens of at most 7 it fits now.');
    expect(textOf({}, { now: 7, ever: 900, field: 'max_completion_tokens', answers: 4 })).toEndWith(
      'With max_completion_tokens of at most 7 for each of the 4 answers it fits now.',
    );
    expect(textOf({ resetsAtMs: null, window: 'total' })).toContain('in total: ');
    expect(textOf({ resetsAtMs: null, window: 'total' })).toContain('It does not reset by itself.');
  });

  test('that waiting never helps, where the request may need more than the whole budget', () => {
    const over = { asked: 200_000 };
    const never = 'It will never be let in: it may need more than the whole budget.';
    const resets = 'The budget resets at 2026-12-01T00:00:00.000Z.';
    expect(textOf(over, { now: 0, ever: 0, answers: 900 })).toContain(
      'Shorten the prompt, ask for fewer answers, or ask',
    );
    expect(textOf(over, { now: 0, ever: 0 })).toEndWith(
      `${never} Shorten the prompt, or ask the operator for a larger budget. ${resets}`,
    );
    expect(textOf(over, { now: 9, ever: 90 })).toEndWith(
      `${never} With max_tokens of at most 9 it fits now. ${resets}`,
    );
    expect(textOf({ ...over, resetsAtMs: null, window: 'total' }, { now: 9, ever: 90 })).toEndWith(
      'it fits now. The budget does not reset by itself.',
    );
    expect(textOf(over)).toEndWith(
      `${never} With max_tokens of at most 500 it fits after the budget resets at 2026-12-01T00:00:00.000Z.`,
    );
    expect(textOf(over)).not.toContain('It resets');
    // The gateway would have chosen a shorter answer.
    expect(textOf(over, { now: 0, ever: 500 }, 50_000)).toContain('It resets at');
  });

  test('that a budget of 0 lets nothing pass', () => {
    expect(textOf({ limit: 0, spent: 0 }, { now: 0, ever: 0 })).toEndWith(
      'It lets nothing pass: the operator can change it. The budget resets at 2026-12-01T00:00:00.000Z.',
    );
  });
});
