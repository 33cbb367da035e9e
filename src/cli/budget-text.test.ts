import { expect, test } from 'bun:test';
import { budgetWithReserved } from './budget-text.ts';

test('a budget says what is set aside for calls that run, and nothing where nothing is', () => {
  const usd = { limit_usd: 20, window: 'month', hard: true, spent_usd: 1.2, reserved_usd: 0.05 };
  expect(budgetWithReserved(usd)).toBe('$1.20 of $20/month (and $0.05 set aside for calls that run)');
  expect(budgetWithReserved({ ...usd, reserved_usd: 0 })).toBe('$1.20 of $20/month');
  const tokens = { limit_tokens: 500, window: 'day', hard: false, spent_tokens: 7, reserved_tokens: 90 };
  expect(budgetWithReserved(tokens)).toBe('7 of 500 tokens/day, soft (and 90 tokens set aside for calls that run)');
});

test('a budget of the smallest amounts is written in plain digits', () => {
  const tiny = { limit_usd: 1e-6, window: 'day', hard: true, spent_usd: 5e-7, reserved_usd: 2e-7 };
  expect(budgetWithReserved(tiny)).toBe('$0.0000005 of $0.000001/day (and $0.0000002 set aside for calls that run)');
});
