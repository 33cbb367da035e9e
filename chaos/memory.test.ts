import { describe, expect, test } from 'bun:test';
import { memoryTrend } from './memory.ts';

const readings = (megabytesAt: (second: number) => number) =>
  Array.from({ length: 90 }, (_, second) => ({
    atMs: second * 1_000,
    rssMegabytes: megabytesAt(second),
    inFlight: 0,
    queued: 0,
  }));

describe('the memory of a soak', () => {
  test('is flat when it rises while warming up and then goes up and down', () => {
    const trend = memoryTrend(readings((second) => Math.min(second, 25) * 4 + (second % 7)));
    expect(trend.isFlat).toBe(true);
    expect(Math.abs(trend.slopeMegabytesPerMinute)).toBeLessThan(1);
  });

  test('is not when it grows on', () => {
    const trend = memoryTrend(readings((second) => 80 + second / 2));
    expect(trend.slopeMegabytesPerMinute).toBeCloseTo(30, 5);
    expect(trend.isFlat).toBe(false);
  });

  test('of no readings is flat', () => {
    expect(memoryTrend([]).isFlat).toBe(true);
  });
});
