import { describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Deadlines, type Timed } from './deadlines.ts';

class Job implements Timed {
  deadlineMs: number;
  expiredAtMs: number | null = null;
  readonly #deadlines: Deadlines;

  constructor(deadlines: Deadlines, deadlineMs: number) {
    this.#deadlines = deadlines;
    this.deadlineMs = deadlineMs;
    deadlines.watch(this);
  }

  expire(nowMs: number): void {
    this.expiredAtMs = nowMs;
    this.#deadlines.forget(this);
  }
}

describe('shared deadlines', () => {
  test('each is told at its own time, with one timer for all', async () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const jobs = [300, 100, 200].map((atMs) => new Job(deadlines, atMs));
    expect(clock.pendingTimers).toBe(1);
    await clock.advance(1_000);
    expect(jobs.map((job) => job.expiredAtMs)).toEqual([300, 100, 200]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('one that moved later is not told early, one that moved earlier is told in time', async () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const later = new Job(deadlines, 100);
    const earlier = new Job(deadlines, 5_000);
    later.deadlineMs = 700;
    earlier.deadlineMs = 50;
    deadlines.watch(earlier);
    await clock.advance(1_000);
    expect([later.expiredAtMs, earlier.expiredAtMs]).toEqual([700, 50]);
  });

  test('nothing is left behind when all have been forgotten', () => {
    const clock = new ManualClock();
    const deadlines = new Deadlines(clock);
    const jobs = [new Job(deadlines, 100), new Job(deadlines, Number.POSITIVE_INFINITY)];
    for (const job of jobs) deadlines.forget(job);
    expect([deadlines.size, clock.pendingTimers]).toEqual([0, 0]);
  });
});
