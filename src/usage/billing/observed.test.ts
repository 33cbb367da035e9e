import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { CallEnd } from '../../core/billing.ts';
import { FAILURE_RULES, type FailureKind } from '../../core/failure.ts';
import { mayHaveCostMore, outcomeOf, stateOf, tokensOf, usageOf } from './observed.ts';

const ended = (changes: Partial<CallEnd> = {}): CallEnd => ({
  failure: null,
  status: null,
  usage: null,
  model: '',
  producedTokens: 0,
  isComplete: false,
  ...changes,
});

const usage = { promptTokens: 10, completionTokens: 4, cachedTokens: 3, reasoningTokens: 2, costNanoUsd: null };

describe('a call counts as', () => {
  test('settled when the server reported what it used, whatever else befell it', () => {
    for (const failure of Object.keys(FAILURE_RULES) as FailureKind[]) {
      expect(stateOf(ended({ failure, usage, status: 500 }))).toBe('settled');
    }
  });

  test('settled by what came of it, when it broke off or its client left', () => {
    expect(stateOf(ended({ failure: 'truncated', producedTokens: 3 }))).toBe('settled');
    expect(stateOf(ended({ failure: 'cancelled' }))).toBe('settled');
  });

  test('voided when the server did not begin', () => {
    for (const failure of ['unreachable', 'overloaded', 'modelLoading', 'rejected', 'badCredentials'] as const) {
      expect(stateOf(ended({ failure }))).toBe('voided');
    }
    expect(stateOf(ended({ failure: 'failed', status: 500 }))).toBe('voided');
    expect(stateOf(ended({ failure: 'filtered', status: 400 }))).toBe('voided');
  });

  test('voided when it was never made', () => {
    expect(stateOf(ended({ failure: 'cancelled', neverMade: true }))).toBe('voided');
  });

  test('unknown when it may have written a whole answer that nobody got', () => {
    for (const failure of ['timeout', 'failed', 'truncated'] as const) {
      expect(stateOf(ended({ failure }))).toBe('unknown');
    }
    expect(stateOf(ended({ failure: 'malformed', status: 200 }))).toBe('unknown');
  });
});

test('it may have cost more than was seen, unless its provider counted all of it or did not begin', () => {
  expect(mayHaveCostMore(ended({ failure: 'cancelled', producedTokens: 9 }))).toBe(true);
  expect(mayHaveCostMore(ended({ failure: 'cancelled', usage }))).toBe(true);
  expect(mayHaveCostMore(ended({ failure: 'cancelled', isComplete: true }))).toBe(true);
  expect(mayHaveCostMore(ended({ failure: 'cancelled', usage, isComplete: true }))).toBe(false);
  expect(mayHaveCostMore(ended({ failure: 'cancelled', neverMade: true }))).toBe(false);
  expect(mayHaveCostMore(ended({ isComplete: true }))).toBe(true);
  expect(mayHaveCostMore(ended({ isComplete: true, usage }))).toBe(false);
  expect(mayHaveCostMore(ended({ failure: 'truncated', producedTokens: 3 }))).toBe(true);
  expect(mayHaveCostMore(ended({ failure: 'truncated', producedTokens: 3, usage }))).toBe(true);
  expect(mayHaveCostMore(ended({ failure: 'truncated', isComplete: true, usage }))).toBe(false);
  expect(mayHaveCostMore(ended({ failure: 'rejected', status: 400 }))).toBe(false);
  expect(mayHaveCostMore(ended({ failure: 'unreachable' }))).toBe(false);
});

test('a client got an answer, a part of one, nothing, or left', () => {
  const outcomes = [
    ended(),
    ended({ failure: 'truncated', producedTokens: 1 }),
    ended({ failure: 'failed', status: 500 }),
    ended({ failure: 'cancelled', producedTokens: 1 }),
  ].map(outcomeOf);
  expect(outcomes).toEqual(['served', 'cut', 'failed', 'abandoned']);
});

test('what nobody reported is what was seen', () => {
  expect(usageOf(ended({ producedTokens: 7 }), 12.2)).toMatchObject({ promptTokens: 13, completionTokens: 7 });
  expect(usageOf(ended({ usage, producedTokens: 7 }), 12)).toBe(usage);
});

test('tokens of pictures and sounds are on record as such', () => {
  const parts = {
    ...{ cacheWriteTokens: 1, audioInputTokens: 2, imageInputTokens: 3 },
    ...{ audioOutputTokens: 1, imageOutputTokens: 2 },
  };
  expect(tokensOf({ ...usage, parts })).toEqual({
    ...{ inputTokens: 10, outputTokens: 4, cachedInputTokens: 3, reasoningTokens: 2 },
    ...{ imageTokens: 5, audioInputTokens: 2, audioOutputTokens: 1 },
  });
});

test('whatever a server counts, the ledger can take it: a part is never more than the whole', () => {
  const count = fc.oneof(fc.integer(), fc.double(), fc.constant(Number.MAX_SAFE_INTEGER));
  const counts = fc.record({
    ...{ promptTokens: count, completionTokens: count, cachedTokens: count, reasoningTokens: count },
    parts: fc.record({
      ...{ cacheWriteTokens: count, audioInputTokens: count, imageInputTokens: count },
      ...{ audioOutputTokens: count, imageOutputTokens: count },
    }),
  });
  fc.assert(
    fc.property(counts, (seen) => {
      const tokens = tokensOf({ ...seen, costNanoUsd: null });
      for (const value of Object.values(tokens)) {
        expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
      }
      const { inputTokens, outputTokens } = tokens;
      expect(Math.max(tokens.cachedInputTokens, tokens.audioInputTokens)).toBeLessThanOrEqual(inputTokens);
      expect(Math.max(tokens.reasoningTokens, tokens.audioOutputTokens)).toBeLessThanOrEqual(outputTokens);
      expect(tokens.imageTokens).toBeLessThanOrEqual(inputTokens + outputTokens);
    }),
  );
});
