import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { EXPIRY_ALLOWED, type KeyFlags, keyBodyOf } from './key-flags.ts';

const NOW_MS = Date.parse('2026-11-24T00:00:00Z');
const read = (flags: KeyFlags) => {
  const reading = keyBodyOf(flags, NOW_MS);
  return reading.ok ? reading.body : reading.problems;
};

test('flags become the words of the API, and nothing is said of what was not given', () => {
  expect(read({ name: 'alice' })).toEqual({ name: 'alice' });
  expect(
    read({
      ...{ name: 'alice', project: 'web', owner: 'none', models: 'qwen*, gpt-oss-20b', places: 'local', routes: 'any' },
      ...{ rpm: '60', tpm: 'none', budget: ['20usd/month', '1000000tokens/day'], metadata: ['team=a=b'] },
    }),
  ).toEqual({
    ...{ name: 'alice', project: 'web', owner: null },
    ...{ allowed_models: ['qwen*', 'gpt-oss-20b'], allowed_places: ['local'], allowed_routes: null },
    limits: { rpm: 60, tpm: null },
    budget: [
      { limit_usd: '20', window: 'month', hard: true },
      { limit_tokens: 1_000_000, window: 'day', hard: true },
    ],
    metadata: { team: 'a=b' },
  });
});

test('a budget may be written with a dollar sign, be soft, or be taken away', () => {
  expect(read({ budget: ['$2.50/week'], soft: true })).toEqual({
    budget: [{ limit_usd: '2.50', window: 'week', hard: false }],
  });
  expect(read({ budget: ['none'] })).toEqual({ budget: null });
  expect(read({ budget: ['$20tokens/day'] })).toEqual([expect.stringContaining('it should be such as 20usd/month')]);
});

test('the end of a key is a span from now, a date, or never', () => {
  expect(read({ expires: '90d' })).toEqual({ expires_at: '2027-02-22T00:00:00.000Z' });
  expect(read({ expires: '2030-01-31' })).toEqual({ expires_at: '2030-01-31T00:00:00.000Z' });
  expect(read({ expires: 'never' })).toEqual({ expires_at: null });
});

test('a span may be minutes or months, and is never guessed to be one of them', () => {
  expect(read({ expires: '30min' })).toEqual({ expires_at: '2026-11-24T00:30:00.000Z' });
  expect(read({ expires: '2mo' })).toEqual({ expires_at: '2027-01-23T00:00:00.000Z' });
  expect(read({ expires: '30m' })).toEqual([
    expect.stringMatching(/^--expires is "30m": .*30min.*never\. Write 30min for minutes, or 30mo for months\.$/),
  ]);
});

test('every flag that makes no sense is told at once, with what it should be', () => {
  expect(read({ budget: ['20eur/month', '5usd'], expires: 'soon', metadata: ['team'] })).toEqual([
    '--budget is "20eur/month": it should be such as 20usd/month or 1000000tokens/day; the windows are day, week, month and total.',
    '--budget is "5usd": it should be such as 20usd/month or 1000000tokens/day; the windows are day, week, month and total.',
    `--expires is "soon": it should be such as ${EXPIRY_ALLOWED}.`,
    '--metadata is "team": it should be name=value.',
  ]);
  expect(read({ expires: '999999y' })).toEqual([`--expires is "999999y": it should be such as ${EXPIRY_ALLOWED}.`]);
  expect(read({ soft: true })).toEqual(['--soft says how the budgets of --budget are kept: give one, too.']);
});

test('any amount comes through digit by digit, in both spellings', () => {
  const amount = fc.tuple(fc.nat(9_000_000), fc.nat(999)).map(([whole, part]) => `${whole}.${part}`);
  const window = fc.constantFrom('day', 'week', 'month', 'total');
  fc.assert(
    fc.property(amount, window, (limit, each) => {
      const expected = { budget: [{ limit_usd: limit, window: each, hard: true }] };
      expect(read({ budget: [`${limit}usd/${each}`] })).toEqual(expected);
      expect(read({ budget: [`$${limit}/${each}`] })).toEqual(expected);
    }),
  );
});
