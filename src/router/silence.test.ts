import { describe, expect, test } from 'bun:test';
import { Silence } from './silence.ts';

/** A target that usually answers within `ms`. */
function usually(ms: number): Silence {
  const silence = new Silence();
  for (let n = 0; n < 10; n++) {
    silence.began(0);
    silence.answered(ms);
  }
  return silence;
}

describe('the silence of a target', () => {
  test('is unusual once a call waits four times as long as they usually do', () => {
    const silence = usually(100);
    silence.began(1_000);
    silence.began(1_390);
    expect([silence.isUnusual(1_400), silence.isUnusual(1_401)]).toEqual([false, true]);
  });

  test('means nothing below a fiftieth of a second, or before anything is known of the target', () => {
    const fast = usually(1);
    fast.began(0);
    expect([fast.isUnusual(20), fast.isUnusual(21)]).toEqual([false, true]);
    const unknown = new Silence();
    unknown.began(0);
    expect(unknown.isUnusual(60_000)).toBe(false);
  });

  test('lasts, also when nobody waits any more, until it gives a sign of life', () => {
    const silence = usually(10);
    silence.began(0);
    expect(silence.isUnusual(600_000)).toBe(true);
    silence.probed();
    expect(silence.isUnusual(600_000)).toBe(false);
  });

  test('is not the fault of a target whose last client left', () => {
    const silence = usually(10);
    silence.began(0);
    silence.began(1);
    silence.givenUp();
    expect(silence.isUnusual(1_000)).toBe(true);
    silence.givenUp();
    expect(silence.isUnusual(1_000)).toBe(false);
  });

  test('goes on after a clock ran out', () => {
    const silence = usually(10);
    silence.began(0);
    silence.unanswered();
    expect(silence.isUnusual(1_000)).toBe(true);
  });
});
