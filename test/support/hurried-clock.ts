import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/system-clock.ts';

/** A clock on which time passes so many times faster; the calendar is that of everybody. */
export const hurried = (factor: number): Clock => ({
  nowMs: () => systemClock.nowMs() * factor,
  wallMs: () => systemClock.wallMs(),
  after: (delayMs, run) => systemClock.after(delayMs / factor, run),
});
