import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { isMet } from '../result.ts';
import { findRun } from './experiments.ts';
import { YARDSTICK } from './policies/index.ts';
import { documentsOf, newestResult } from './results.ts';

const result = newestResult();

describe('the page of the routing benchmark', () => {
  test('is, with its plots, what the generator makes of the newest result; if not: npm run bench:routing -- --docs', () => {
    if (result === null) throw new Error('bench/routing/results holds no result: run `npm run bench:routing`');
    for (const { path, text } of documentsOf(result)) expect(readFileSync(path, 'utf8')).toBe(text);
  });

  test('judges as its own numbers say', () => {
    expect(result?.judgements.length).toBeGreaterThan(0);
    for (const { value, bound, limit, met } of result?.judgements ?? []) expect(met).toBe(isMet(value, bound, limit));
  });

  test('rests on whole runs of recorded traces, with the yardstick in each', () => {
    expect(result?.quick).toBe(false);
    expect(result?.traces.map((trace) => trace.generated)).toEqual([false, false]);
    for (const group of result?.comparisons ?? []) expect(findRun(group, YARDSTICK.name).meanMs).toBeGreaterThan(0);
  });

  test('has plots that are well-formed, with a line for each policy', () => {
    if (result === null) return;
    const [, firstToken = { text: '' }] = documentsOf(result);
    const count = (text: string): number => firstToken.text.split(text).length - 1;
    expect(count('<g ')).toBe(count('</g>'));
    expect(count('<polyline')).toBe(result.fleets.length * (result.comparisons[0]?.runs.length ?? 0));
    expect(firstToken.text).not.toContain('NaN');
  });
});
