import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { entryOf } from '../../test/support/fleet.ts';
import { FAILURE_RULES, type FailureKind, UpstreamError } from '../core/failure.ts';
import { type FailedAttempt, nextStep } from './next-step.ts';

const step = { target: entryOf({}).target, model: 'm', modelLoaded: true, waits: false, reason: 'test' };

function failed(
  kind: FailureKind,
  change: Partial<FailedAttempt> = {},
  retryAfterMs: number | null = null,
): FailedAttempt {
  return {
    error: new UpstreamError(kind, kind, { retryAfterMs }),
    step,
    untried: 0,
    attemptsLeft: 3,
    triesOfTarget: 1,
    loadingForMs: 0,
    timeLeftMs: 300_000,
    retryDelayMs: 1_000,
    random: 0.5,
    ...change,
  };
}

describe('what after a failure', () => {
  test("a client's own mistake goes to nobody else", () => {
    for (const kind of ['rejected', 'filtered', 'cancelled'] as const) {
      expect(nextStep(failed(kind, { untried: 3 }))).toEqual({ do: 'stop' });
    }
  });

  test('another target is tried at once, as long as the retry limit allows', () => {
    expect(nextStep(failed('failed', { untried: 1 }))).toEqual({ do: 'next' });
    expect(nextStep(failed('overloaded', { untried: 1 }, 60_000))).toEqual({ do: 'next' });
    expect(nextStep(failed('failed', { untried: 1, attemptsLeft: 0 }))).toEqual({ do: 'stop' });
  });

  test('the only target is asked again only where the request was surely not processed', () => {
    expect(nextStep(failed('failed'))).toEqual({ do: 'stop' });
    expect(nextStep(failed('timeout'))).toEqual({ do: 'stop' });
    expect(nextStep(failed('unreachable'))).toEqual({ do: 'same-again', delayMs: 750, free: false });
    expect(nextStep(failed('unreachable', { triesOfTarget: 3 }))).toEqual({
      do: 'same-again',
      delayMs: 3_000,
      free: false,
    });
  });

  test('a server that says when to come back is believed, unless that is after the deadline', () => {
    expect(nextStep(failed('overloaded', {}, 5_000))).toEqual({ do: 'same-again', delayMs: 5_000, free: false });
    expect(nextStep(failed('overloaded', { timeLeftMs: 4_000 }, 5_000))).toEqual({ do: 'stop' });
  });

  test('a model that is loading is waited for without using up the retries, up to the warm-up limit', () => {
    expect(nextStep(failed('modelLoading', { attemptsLeft: 0, loadingForMs: 4_000 }))).toEqual({
      do: 'same-again',
      delayMs: 500,
      free: true,
    });
    expect(nextStep(failed('modelLoading', { attemptsLeft: 0, loadingForMs: 5_000 }))).toEqual({ do: 'stop' });
  });

  test('never goes on past the retry limit, never waits past the deadline, never repeats what may have run', () => {
    const kinds = Object.keys(FAILURE_RULES) as FailureKind[];
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds),
        fc.record({
          untried: fc.nat(5),
          attemptsLeft: fc.integer({ min: -1, max: 5 }),
          triesOfTarget: fc.integer({ min: 1, max: 20 }),
          loadingForMs: fc.nat(10_000),
          timeLeftMs: fc.integer({ min: -1_000, max: 400_000 }),
          random: fc.double({ min: 0, max: 0.999, noNaN: true }),
        }),
        fc.option(fc.nat(300_000)),
        (kind, change, retryAfterMs) => {
          const decision = nextStep(failed(kind, change, retryAfterMs));
          const rule = FAILURE_RULES[kind];
          if (decision.do !== 'stop') expect(rule.tryNext).toBe(true);
          if (decision.do === 'next') expect(change.attemptsLeft).toBeGreaterThan(0);
          if (decision.do === 'same-again') {
            expect(rule.trySameAgain).toBe(true);
            expect(change.untried).toBe(0);
            expect(decision.delayMs).toBeLessThan(change.timeLeftMs);
            expect(decision.free || change.attemptsLeft > 0).toBe(true);
          }
        },
      ),
    );
  });
});
