import { describe, expect, test } from 'bun:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { sayWhenSlow } from './when-slow.ts';

function started() {
  const clock = new ManualClock();
  const said: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const result = sayWhenSlow(
    clock,
    3_000,
    () => said.push('slow'),
    () => promise,
  );
  return { clock, said, resolve, reject, result };
}

describe('work that may take long', () => {
  test('is told of once when it does, and still does what it does', async () => {
    const { clock, said, resolve, result } = started();
    await clock.advance(2_999);
    expect(said).toEqual([]);
    await clock.advance(60_000);
    expect(said).toEqual(['slow']);
    resolve('done');
    expect(await result).toBe('done');
  });

  test('is not told of when it is over before, well or not', async () => {
    const good = started();
    good.resolve('done');
    await good.result;
    const bad = started();
    bad.reject(new Error('no'));
    expect(await bad.result.catch(String)).toBe('Error: no');
    for (const { clock, said } of [good, bad]) {
      await clock.advance(60_000);
      expect(said).toEqual([]);
    }
  });
});
