import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { IdleConnections } from './idle-connections.ts';

const ORIGIN = 'http://a';

describe('which connections may be idle', () => {
  test('none before the first reply has ended', () => {
    const idle = new IdleConnections();
    const mark = idle.send(ORIGIN, 0);
    expect(idle.mayHaveReused(ORIGIN, mark)).toBe(false);
  });

  test('one after it, for one call, and for no other origin', () => {
    const idle = new IdleConnections();
    idle.give(ORIGIN, 0, null);
    expect(idle.send('http://b', 1).mayBeReused).toBe(false);
    expect([idle.send(ORIGIN, 1).mayBeReused, idle.send(ORIGIN, 1).mayBeReused]).toEqual([true, false]);
  });

  test('one that became idle while the call was under way counts too', () => {
    const idle = new IdleConnections();
    const mark = idle.send(ORIGIN, 0);
    idle.give(ORIGIN, 1, null);
    expect(idle.mayHaveReused(ORIGIN, mark)).toBe(true);
  });

  test('only as long as the server keeps it, or five minutes', () => {
    for (const [keepAlive, lastMs] of [
      ['timeout=5', 6_000],
      ['max=100, timeout=5', 6_000],
      ['timeout=99999', 300_000],
      ['nonsense', 300_000],
      [null, 300_000],
    ] as const) {
      for (const [afterMs, isOpen] of [
        [lastMs, true],
        [lastMs + 1, false],
      ] as const) {
        const idle = new IdleConnections();
        idle.give(ORIGIN, 0, keepAlive);
        expect(idle.send(ORIGIN, afterMs).mayBeReused).toBe(isOpen);
      }
    }
  });

  test('none where nobody listens any more', () => {
    const idle = new IdleConnections();
    idle.give(ORIGIN, 0, null);
    idle.forget(ORIGIN);
    expect(idle.send(ORIGIN, 1).mayBeReused).toBe(false);
  });

  test('never says fresh of a used one, whatever calls, replies and closed connections come in which order', () => {
    const step = fc.constantFrom('send', 'end', 'close', 'server closes');
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const idle = new IdleConnections();
        let [pooled, busy] = [0, 0];
        for (const what of steps) {
          if (what === 'send') {
            const reuses = pooled > 0;
            if (reuses) pooled--;
            busy++;
            expect(idle.send(ORIGIN, 0).mayBeReused || !reuses).toBe(true);
          } else if (what === 'server closes') pooled = Math.max(0, pooled - 1);
          else if (busy > 0) {
            busy--;
            if (what === 'close') continue;
            pooled = Math.min(64, pooled + 1);
            idle.give(ORIGIN, 0, null);
          }
        }
      }),
    );
  });
});
