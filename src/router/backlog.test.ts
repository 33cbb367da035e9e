import { describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Backlog } from './backlog.ts';

/** A clock on which each task takes a millisecond. */
class WorkingClock extends ManualClock {
  workedMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.workedMs;
  }
}

describe('the backlog', () => {
  test('runs a few tasks at once', () => {
    const clock = new WorkingClock();
    const backlog = new Backlog(clock);
    const done: number[] = [];
    for (let n = 0; n < 3; n++) backlog.run(() => done.push(n));
    expect(done).toEqual([0, 1, 2]);
  });

  test('spreads many over turns of the event loop, in their order, none lost, and then holds no timer', async () => {
    const clock = new WorkingClock();
    const backlog = new Backlog(clock);
    const done: number[] = [];
    const longest: number[] = [];
    for (let n = 0; n < 100; n++) {
      backlog.run(() => {
        done.push(n);
        clock.workedMs++;
      });
    }
    expect(done.length).toBe(5);
    while (clock.pendingTimers > 0) {
      const before = done.length;
      await clock.advance(0);
      longest.push(done.length - before);
    }
    expect(done).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });
});
