import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { FAILURE_RULES, type FailureKind, UpstreamError } from '../core/failure.ts';
import { type AfterFailure, nextStep, retryWaitMs } from './next-step.ts';

const KINDS = Object.keys(FAILURE_RULES) as FailureKind[];

function failed(kind: FailureKind, change: Partial<AfterFailure> = {}): AfterFailure {
  return {
    error: new UpstreamError(kind, kind),
    untried: 0,
    attemptsLeft: 3,
    retryable: [],
    warmupLeftMs: 5_000,
    timeLeftMs: 300_000,
    ...change,
  };
}

describe('what after a failure', () => {
  test("a client's own mistake goes to nobody else", () => {
    for (const kind of ['rejected', 'filtered', 'cancelled'] as const) {
      expect(nextStep(failed(kind, { untried: 3, retryable: [{ readyInMs: 0 }] }))).toEqual({ do: 'stop' });
    }
  });

  test('another target is tried at once, as long as the retry limit allows', () => {
    expect(nextStep(failed('failed', { untried: 1 }))).toEqual({ do: 'next' });
    expect(nextStep(failed('overloaded', { untried: 1, retryable: [{ readyInMs: 0 }] }))).toEqual({ do: 'next' });
    expect(nextStep(failed('failed', { untried: 1, attemptsLeft: 0 }))).toEqual({ do: 'stop' });
  });

  test('when nobody else is left, the one that may be asked again soonest is', () => {
    expect(nextStep(failed('failed'))).toEqual({ do: 'stop' });
    const retryable = [{ readyInMs: 900 }, { readyInMs: 200 }, { readyInMs: 400 }];
    expect(nextStep(failed('failed', { retryable }))).toEqual({ do: 'again', index: 1 });
    expect(nextStep(failed('failed', { retryable: [{ readyInMs: -50 }] }))).toEqual({ do: 'again', index: 0 });
    expect(nextStep(failed('failed', { retryable, timeLeftMs: 100 }))).toEqual({ do: 'stop' });
    expect(nextStep(failed('failed', { retryable, attemptsLeft: 0 }))).toEqual({ do: 'stop' });
  });

  test('a model that is loading is waited for without using up the retries, up to the warm-up limit', () => {
    expect(nextStep(failed('modelLoading', { attemptsLeft: 0 }))).toEqual({ do: 'await-loading' });
    expect(nextStep(failed('modelLoading', { attemptsLeft: 0, warmupLeftMs: 0 }))).toEqual({ do: 'stop' });
  });

  test('never goes on past the retry limit, never waits past the deadline', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...KINDS),
        fc.record({
          untried: fc.nat(5),
          attemptsLeft: fc.integer({ min: -1, max: 5 }),
          retryable: fc.array(fc.record({ readyInMs: fc.integer({ min: -1_000, max: 400_000 }) }), { maxLength: 4 }),
          warmupLeftMs: fc.integer({ min: -1_000, max: 10_000 }),
          timeLeftMs: fc.integer({ min: -1_000, max: 400_000 }),
        }),
        (kind, change) => {
          const decision = nextStep(failed(kind, change));
          if (decision.do !== 'stop') expect(FAILURE_RULES[kind].tryNext).toBe(true);
          if (decision.do === 'next' || decision.do === 'again') expect(change.attemptsLeft).toBeGreaterThan(0);
          if (decision.do === 'await-loading') expect(kind).toBe('modelLoading');
          if (decision.do === 'again') {
            expect(change.untried).toBe(0);
            expect(change.retryable[decision.index]?.readyInMs).toBeLessThan(change.timeLeftMs);
          }
        },
      ),
    );
  });
});

describe('how long a target is left alone before it gets the same request again', () => {
  const waitMs = (kind: FailureKind, tries = 1, random = 0.5, retryAfterMs: number | null = null) =>
    retryWaitMs(new UpstreamError(kind, kind, { retryAfterMs }), tries, 1_000, random);

  test('backs off exponentially with full jitter, at most half a minute', () => {
    expect([1, 2, 3].map((tries) => waitMs('unreachable', tries))).toEqual([500, 1_000, 2_000]);
    expect([waitMs('unreachable', 1, 0), waitMs('unreachable', 20, 0.999)]).toEqual([0, 29_970]);
  });

  test('never comes before the time that the server stated', () => {
    expect(waitMs('overloaded', 1, 0, 5_000)).toBe(5_000);
  });

  test('is for ever where the request may have been processed', () => {
    const again = KINDS.filter((kind) => waitMs(kind) !== null);
    expect(again).toEqual(KINDS.filter((kind) => FAILURE_RULES[kind].trySameAgain && kind !== 'modelLoading'));
    expect(again).not.toContain('failed');
    expect(again).not.toContain('timeout');
  });
});
