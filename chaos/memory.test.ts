import { describe, expect, test } from 'bun:test';
import { memoryTrend, readMetrics } from './memory.ts';

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

  test('is not when there are too few readings to tell', () => {
    expect(memoryTrend([]).isFlat).toBe(false);
    expect(memoryTrend(readings(() => 80).slice(0, 6)).isFlat).toBe(false);
    expect(memoryTrend(readings(() => 80).slice(0, 10)).isFlat).toBe(true);
  });

  test('may go up and down within its band', () => {
    const trend = memoryTrend(readings((second) => 80 + (second % 7)));
    expect([trend.lowestMegabytes, trend.highestMegabytes, trend.readings]).toEqual([80, 86, 60]);
    expect(trend.isFlat).toBe(true);
  });

  test('is not flat when it grows slowly for long', () => {
    const hour = Array.from({ length: 3_600 }, (_, second) => ({
      atMs: second * 1_000,
      rssMegabytes: 80 + second / 60,
      inFlight: 0,
      queued: 0,
    }));
    expect(memoryTrend(hour).isFlat).toBe(false);
  });
});

describe('readings of the metrics', () => {
  const serving = async (text: string) => {
    await using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(text) });
    return await readMetrics(server.url.origin);
  };

  test('sum over the targets', async () => {
    const text = [
      'process_resident_memory_bytes 2097152',
      'swarmrouter_target_in_flight{target="a"} 2',
      'swarmrouter_target_in_flight{target="b"} 3',
      'swarmrouter_target_queued{target="a"} 1',
    ].join('\n');
    const { rssMegabytes, inFlight, queued } = await serving(text);
    expect([rssMegabytes, inFlight, queued]).toEqual([2, 5, 1]);
  });

  test('that say nothing of memory are none', async () => {
    await expect(serving('up 1')).rejects.toThrow('says nothing of memory');
  });
});
