import { describe, expect, test } from 'bun:test';
import { usageText } from './usage.ts';

const SUMS = { requests: 1, input_tokens: 10, cached_input_tokens: 0, output_tokens: 5, cost_usd: 0, saved_usd: 0 };
const row = (model: string, change: object) => ({ model, ...SUMS, unpriced: 0, unknown: 0, open: 0, ...change });
const textOf = (...rows: { unpriced: number; unknown: number; open: number }[]): string => {
  const sum = (name: 'unpriced' | 'unknown' | 'open') => rows.reduce((all, one) => all + one[name], 0);
  const total = { ...row('', {}), unpriced: sum('unpriced'), unknown: sum('unknown'), open: sum('open') };
  return usageText({ from: 'monday', to: 'friday', rows, total }, ['model'], false);
};
const cells = (text: string, of: string): string[] =>
  (text.split('\n').find((line) => line.startsWith(of)) ?? '').split(/ {2,}/);

describe('the table of usage', () => {
  test('says in the row that a price is not known, and shows no $0 for it', () => {
    const text = textOf(
      row('priced', { cost_usd: 0.25 }),
      row('house', { cost_usd: null, unpriced: 1 }),
      row('mixed', { cost_usd: 0.5, unpriced: 2 }),
    );
    expect(cells(text, 'MODEL').slice(-3)).toEqual(['COST', 'UNPRICED', 'SAVED']);
    expect(cells(text, 'priced').slice(-3)).toEqual(['$0.25', '0', '$0']);
    expect(cells(text, 'house').slice(-3)).toEqual(['unknown', '1', '$0']);
    expect(cells(text, 'mixed').slice(-3)).toEqual(['$0.5', '2', '$0']);
    expect(cells(text, 'total').slice(-2)).toEqual(['3', '$0']);
  });

  test('has no column for it where all prices are known', () => {
    expect(textOf(row('qwen', {}))).not.toMatch(/price/i);
  });

  test('writes the smallest amounts in plain digits, and no amount with an exponent', () => {
    const tiny = cells(textOf(row('tiny', { cost_usd: 6e-7, saved_usd: 1.234e-8 })), 'tiny');
    expect(tiny.slice(-2)).toEqual(['$0.0000006', '$0.0000000123']);
    expect(cells(textOf(row('large', { cost_usd: 1_234.5 })), 'large').at(-2)).toBe('$1234.50');
  });

  test('counts one call as one', () => {
    const one = textOf(row('house', { cost_usd: null, unpriced: 1, unknown: 1, open: 1 }));
    expect(one).toContain('1 call has no known price and is not in the cost.');
    expect(one).toContain('1 call broke off');
    expect(one).toContain('1 call still runs.');
    expect(textOf(row('house', { unpriced: 2, open: 3 }))).toMatch(/2 calls have .*\n3 calls still run\./);
  });
});
