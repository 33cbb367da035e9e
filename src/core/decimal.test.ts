import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { scaledDecimal } from './decimal.ts';

test('what people and providers write becomes an exact integer', () => {
  expect(scaledDecimal(2.5, 9)).toEqual({ value: 2_500_000_000, exact: true });
  expect(scaledDecimal('0.0375', 9)).toEqual({ value: 37_500_000, exact: true });
  expect(scaledDecimal('0.00000003750', 15)).toEqual({ value: 37_500_000, exact: true });
  expect(scaledDecimal(1.5e-7, 15)).toEqual({ value: 150_000_000, exact: true });
  expect(scaledDecimal(' 3 ', 9)).toEqual({ value: 3_000_000_000, exact: true });
  expect(scaledDecimal(0.1 + 0.2, 3)).toEqual({ value: 300, exact: false });
  expect(scaledDecimal('1e-400', 9)).toEqual({ value: 0, exact: false });
});

test('what is no number ≥ 0, or too large, is none', () => {
  for (const written of [
    '',
    '-1',
    -1,
    'free',
    '1,5',
    '0x10',
    '.',
    Number.NaN,
    Number.POSITIVE_INFINITY,
    null,
    {},
    true,
  ]) {
    expect(scaledDecimal(written, 9)).toBeNull();
  }
  for (const written of ['1e9999', '9007199254740993', '9'.repeat(500)]) expect(scaledDecimal(written, 9)).toBeNull();
});

test('digits and places survive, whatever they are', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 9_007_199_254_740_991n), fc.nat(15), (digits, places) => {
      const padded = digits.toString().padStart(places + 1, '0');
      const text = `${padded.slice(0, padded.length - places)}.${padded.slice(padded.length - places)}`;
      expect(scaledDecimal(text, places)).toEqual({ value: Number(digits), exact: true });
    }),
  );
});
