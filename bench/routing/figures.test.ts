import { describe, expect, test } from 'bun:test';
import { figuresOf, worstRatioAtEqualSpend } from './figures.ts';
import type { FrontierFamily } from './result.ts';

describe('figures', () => {
  const served = [100, 300, 200].map((firstMs, at) => ({
    arrivalMs: 1_000,
    sentMs: 1_000,
    firstTokenMs: 1_000 + firstMs,
    finishedMs: 5_000,
    inputTokens: 100,
    cachedTokens: 30,
    node: at === 0 ? null : 1,
    dollars: at === 0 ? 2 : 0,
  }));

  test('count from the arrival at the router', () => {
    expect(figuresOf('p', served, false)).toEqual({
      policy: 'p',
      meanMs: 200,
      p50Ms: 200,
      p95Ms: 300,
      p99Ms: 300,
      hitShare: 0.3,
      overflowShare: 1 / 3,
      dollars: 2,
    });
  });

  test('compare frontiers at spends that are no higher', () => {
    const family = (...points: [dollars: number, meanMs: number][]): FrontierFamily => ({
      name: 'f',
      knob: '',
      points: points.map(([dollars, meanMs]) => ({ setting: '', ...figuresOf('p', served, false), dollars, meanMs })),
    });
    const theirs = family([0, 100], [5, 50]);
    const mean = (run: { meanMs: number }): number => run.meanMs;
    expect(worstRatioAtEqualSpend([family([0, 80]), family([4, 45], [6, 10])], theirs, mean)).toBe(0.9);
    // Nothing of ours is so cheap.
    expect(worstRatioAtEqualSpend([family([1, 80])], theirs, mean)).toBe(Number.POSITIVE_INFINITY);
  });
});
