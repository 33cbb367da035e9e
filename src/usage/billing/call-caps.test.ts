import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { countedTokens, knownCost, MOST_CALL_NANO_USD, MOST_CALL_TOKENS, setAside } from './call-caps.ts';

const anyNumber = fc.oneof(fc.double(), fc.maxSafeNat(), fc.constantFrom(2 ** 53 - 1, 1e308, Number.POSITIVE_INFINITY));
const NOTHING = { usd: false, tokens: false };
const call = { reservedNanoUsd: 0, tokens: 1_000 };

test('whatever is asked for or reported, budgets that were not asked may count millions of such calls exactly', () => {
  fc.assert(
    fc.property(anyNumber, anyNumber, fc.boolean(), fc.boolean(), (nanoUsd, tokens, usd, ofTokens) => {
      const aside = setAside({ nanoUsd, tokens }, { usd, tokens: ofTokens });
      const reported = knownCost(nanoUsd, 'provider', call) ?? 0;
      for (const amount of [aside.reservedNanoUsd, aside.reservedTokens, countedTokens(tokens), reported]) {
        expect(Number.isSafeInteger(amount) && amount >= 0).toBe(true);
      }
      expect(reported).toBeLessThanOrEqual(MOST_CALL_NANO_USD);
      expect(Math.max(aside.reservedTokens, countedTokens(tokens))).toBeLessThanOrEqual(MOST_CALL_TOKENS);
      // Also under a hard budget in tokens alone: nobody asks whether there is room for the money.
      if (!usd) expect(aside.reservedNanoUsd * 50_000).toBeLessThan(2 ** 53);
    }),
  );
});

test('under a hard budget in dollars all that a call may cost is set aside', () => {
  const dear = { nanoUsd: 7_680e9, tokens: 12_800_000 };
  const aside = { reservedNanoUsd: 7_680e9, reservedTokens: 12_800_000 };
  expect(setAside(dear, { usd: true, tokens: false })).toEqual(aside);
  expect(setAside(dear, { usd: true, tokens: true })).toEqual(aside);
});

test('what a call may really use stays as it is', () => {
  const usual = { nanoUsd: 60e9, tokens: 2_000_000 };
  expect(setAside(usual, NOTHING)).toEqual({ reservedNanoUsd: 60e9, reservedTokens: 2_000_000 });
  const counts = [null, -1, 12, 1e18].map(countedTokens);
  expect(counts).toEqual([0, 0, 12, MOST_CALL_TOKENS]);
});

test('a cost is what the price comes to, unless the call cannot have cost so much', () => {
  const ofProvider = [0, 5e11, 1e13, 1.5, null].map((value) => knownCost(value, 'provider', call));
  expect(ofProvider).toEqual([0, 5e11, null, null, null]);
  // A price that the operator set is as high as it is; a count of tokens that no call has is no count.
  expect(knownCost(2_000e9, 'override', { reservedNanoUsd: 0, tokens: 2_000 })).toBe(2_000e9);
  expect(knownCost(2_000e9, 'override', { reservedNanoUsd: 2_500e9, tokens: 1e12 })).toBe(2_000e9);
  expect(knownCost(54_000e9, 'catalogue', { reservedNanoUsd: 1e9, tokens: 2e12 })).toBeNull();
  expect(knownCost(1_500e9, 'provider', { reservedNanoUsd: 2_500e9, tokens: 2_000 })).toBe(1_500e9);
  // What stands for a cost too high to be told is none.
  expect(knownCost(Number.MAX_SAFE_INTEGER, 'catalogue', call)).toBeNull();
});
