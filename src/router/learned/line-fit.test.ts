import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { LineFit } from './line-fit.ts';

describe('a line through measurements', () => {
  test('is found exactly when they lie on it', () => {
    const fit = new LineFit();
    for (const x of [100, 2_000, 500, 8_000]) fit.add(x, 0.05 + x / 1_000);
    expect(fit.start).toBeCloseTo(0.05, 6);
    expect(1 / fit.slope).toBeCloseTo(1_000, 2);
  });

  test('is found within a few per cent when every tenth one is a wild outlier', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 50, max: 20_000 }), (seed, speed) => {
        const random = generator(seed);
        const fit = new LineFit();
        for (let sample = 0; sample < 200; sample++) {
          const x = 50 + random() * 8_000;
          const noise = 0.95 + random() * 0.1;
          fit.add(x, (0.02 + x / speed) * noise * (sample % 10 === 0 ? 5 : 1));
        }
        expect(Math.abs(1 / fit.slope / speed - 1)).toBeLessThan(0.1);
      }),
    );
  });

  test('follows a server that becomes slower', () => {
    const fit = new LineFit();
    for (let sample = 0; sample < 100; sample++) fit.add(100 + sample * 37, (100 + sample * 37) / 4_000);
    for (let sample = 0; sample < 70; sample++) fit.add(100 + sample * 37, (100 + sample * 37) / 1_000);
    expect(1 / fit.slope).toBeCloseTo(1_000, 0);
  });

  test('gives most of the time to the slope when all prompts are as long', () => {
    const fit = new LineFit();
    for (let sample = 0; sample < 20; sample++) fit.add(1_000, 1);
    expect(fit.at(1_000)).toBeCloseTo(1, 6);
    expect(fit.start).toBeCloseTo(0.1, 6);
  });

  test('learned from short prompts alone does not make long ones look hopeless', () => {
    const fit = new LineFit();
    for (let sample = 0; sample < 20; sample++) fit.add(27 + (sample % 3), 0.21);
    expect(fit.at(4_000)).toBeLessThan(5);
    expect(fit.at(27)).toBeCloseTo(0.21, 2);
  });

  test('short prompts with noise do not hide what long ones cost', () => {
    let free = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const random = generator(seed);
      const fit = new LineFit();
      for (let sample = 0; sample < 20; sample++) {
        const x = sample === 19 ? 3_000 : 20 + random() * 60;
        fit.add(x, (0.1 + x / 1_000) * (0.6 + random() * 0.8));
      }
      if (fit.at(3_000) < 1) free++;
    }
    expect(free).toBe(0);
  });

  test('is never negative, and never swallows what is no number', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.double(), fc.double()), { maxLength: 100 }), (samples) => {
        const fit = new LineFit();
        for (const [x, y] of samples) fit.add(x, y);
        expect(fit.start >= 0 && fit.slope >= 0).toBe(true);
      }),
    );
  });

  test('is the same line after a restart', () => {
    const before = new LineFit();
    for (let sample = 0; sample < 30; sample++) before.add(sample * 100, 0.1 + sample / 20);
    const after = new LineFit();
    after.restore(before.start, before.slope, before.lengths());
    expect(after.at(5_000)).toBeCloseTo(before.at(5_000), 6);
  });
});

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
