import { describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { OverloadGuard } from './overload-guard.ts';

/** A clock whose timers come late by `lagMs`. */
class LateClock extends ManualClock {
  lagMs = 0;
  override after(delayMs: number, run: () => void): () => void {
    return super.after(delayMs + this.lagMs, run);
  }
}

function guard(change: { running?: number } = {}) {
  const clock = new LateClock();
  const signs = { memory: 100, running: change.running ?? 2, collections: 0 };
  const made = new OverloadGuard(
    clock,
    { maxLoopLagMs: 500, maxMemoryBytes: 1_000 },
    {
      memoryBytes: () => signs.memory,
      running: () => signs.running,
      collectGarbage: () => signs.collections++,
    },
  );
  made.start();
  return { clock, signs, guard: made };
}

describe('the overload guard', () => {
  test('lets everybody in while the process keeps up', async () => {
    const { clock, guard: idle } = guard();
    await clock.advance(10_000);
    expect([idle.overload, idle.refuse(), idle.refused]).toEqual([null, null, { memory: 0, loop_lag: 0 }]);
  });

  test('refuses while everything comes late, but not for one long pause', async () => {
    const { clock, guard: late } = guard();
    clock.lagMs = 800;
    await clock.advance(1_100);
    clock.lagMs = 0;
    await clock.advance(1_300);
    expect(late.overload).toBeNull();
    clock.lagMs = 800;
    await clock.advance(5_000);
    expect(late.refuse()).toMatchObject({ kind: 'loop_lag', message: expect.stringContaining('800 ms late') });
    expect(late.refused.loop_lag).toBe(1);
    clock.lagMs = 0;
    await clock.advance(1_500);
    expect(late.overload).toBeNull();
  });

  test('refuses above the memory limit, after asking for memory back, and never when nothing else runs', async () => {
    const { clock, signs, guard: full } = guard();
    signs.memory = 2_000;
    await clock.advance(300);
    expect(full.refuse()).toMatchObject({ kind: 'memory' });
    expect(signs.collections).toBe(1);
    signs.running = 1;
    expect(full.overload).toBeNull();
    signs.running = 2;
    signs.memory = 900;
    await clock.advance(300);
    expect(full.overload).toBeNull();
  });

  test('leaves no timer behind', async () => {
    const { clock, guard: stopped } = guard();
    await clock.advance(1_000);
    stopped.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});
