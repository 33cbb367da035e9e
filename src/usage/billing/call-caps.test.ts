import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { countedTokens, knownCost, MOST_CALL_NANO_USD, MOST_CALL_TOKENS, setAside } from './call-caps.ts';

const anyNumber = fc.oneof(fc.double(), fc.maxSafeNat(), fc.constantFrom(2 ** 53 - 1, 1e308, Number.POSITIVE_INFINITY));

test('whatever is asked for or reported, a budget may count millions of such calls before its sums are inexact', () => {
  fc.assert(
    fc.property(anyNumber, anyNumber, fc.boolean(), (nanoUsd, tokens, likely) => {
      const aside = setAside({ nanoUsd, tokens }, likely);
      const reported = knownCost(nanoUsd, 'provider') ?? 0;
      for (const amount of [aside.reservedNanoUsd, aside.reservedTokens, countedTokens(tokens), reported]) {
        expect(Number.isSafeInteger(amount) && amount >= 0).toBe(true);
      }
      expect(Math.max(aside.reservedTokens, countedTokens(tokens), reported)).toBeLessThanOrEqual(MOST_CALL_NANO_USD);
      if (likely) expect(aside.reservedNanoUsd * 50_000 + aside.reservedTokens).toBeLessThan(2 ** 53);
    }),
  );
});

test('under a hard budget all that a call may cost is set aside, and what a set price comes to is no secret', () => {
  const dear = { nanoUsd: 7_680e9, tokens: 12_800_000 };
  expect(setAside(dear, false)).toEqual({ reservedNanoUsd: 7_680e9, reservedTokens: 12_800_000 });
  expect([knownCost(2_000e9, 'override'), knownCost(2_000e9, 'catalogue')]).toEqual([2_000e9, 2_000e9]);
});

test('what a call may really use or cost stays as it is', () => {
  expect(setAside({ nanoUsd: 600e9, tokens: 2_000_000 }, false)).toEqual({
    reservedNanoUsd: 600e9,
    reservedTokens: 2_000_000,
  });
  expect(setAside({ nanoUsd: 60e9, tokens: 2_000_000 }, true)).toEqual({
    reservedNanoUsd: 60e9,
    reservedTokens: 2_000_000,
  });
  expect([countedTokens(null), countedTokens(-1), countedTokens(12), countedTokens(1e18)]).toEqual([
    ...[0, 0, 12, MOST_CALL_TOKENS],
  ]);
  const ofProvider = [0, 5e11, 1e13, 1.5, null].map((value) => knownCost(value, 'provider'));
  expect(ofProvider).toEqual([...[0, 5e11, null, null, null]]);
});
