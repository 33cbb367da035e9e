import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { RetryBudget } from './retry-budget.ts';

function budget(percent = 20, floorPerSecond = 1) {
  const clock = new ManualClock();
  return { clock, budget: new RetryBudget(clock, { percent, floorPerSecond }) };
}

/** How many it gives at once. */
function drain(of: RetryBudget): number {
  let given = 0;
  while (of.withdraw()) given++;
  return given;
}

describe('the retry budget of a target', () => {
  test('begins with ten seconds of the floor, and the floor fills that up again', async () => {
    const { clock, budget: retries } = budget();
    expect([drain(retries), retries.isSpent]).toEqual([10, true]);
    await clock.advance(3_000);
    expect(drain(retries)).toBe(3);
    await clock.advance(3_600_000);
    expect(drain(retries)).toBe(10);
  });

  test('five regular attempts save up exactly one out of turn', () => {
    const { budget: retries } = budget(20, 0);
    for (let n = 0; n < 4; n++) retries.deposit();
    expect(retries.withdraw()).toBe(false);
    retries.deposit();
    expect([retries.withdraw(), retries.withdraw()]).toEqual([true, false]);
  });

  test('a busy day saves up no more than its capacity', () => {
    const { budget: retries } = budget();
    for (let n = 0; n < 100_000; n++) retries.deposit();
    expect(drain(retries)).toBe(retries.capacity);
  });

  test('of nothing allows nothing', () => {
    const { budget: retries } = budget(0, 0);
    for (let n = 0; n < 100; n++) retries.deposit();
    expect([retries.capacity, drain(retries)]).toEqual([0, 0]);
  });

  test('never gives more than its share of the regular attempts, the floor and its capacity', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('deposit' as const), times: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ do: fc.constant('withdraw' as const), times: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ do: fc.constant('wait' as const), times: fc.integer({ min: 0, max: 20_000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 0, max: 10 }),
        fc.array(step, { maxLength: 60 }),
        async (percent, floorPerSecond, steps) => {
          const { clock, budget: retries } = budget(percent, floorPerSecond);
          let regular = 0;
          let given = 0;
          for (const { do: what, times } of steps) {
            if (what === 'wait') await clock.advance(times);
            else
              for (let n = 0; n < times; n++) {
                if (what === 'deposit') {
                  retries.deposit();
                  regular++;
                } else if (retries.withdraw()) given++;
              }
            const seconds = clock.nowMs() / 1000;
            expect(given).toBeLessThanOrEqual(
              retries.capacity + floorPerSecond * seconds + (percent / 100) * regular + 1e-6,
            );
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
