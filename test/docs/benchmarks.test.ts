import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { renderPage } from '../../bench/report.ts';
import { type BenchResult, isMet, judge, updated } from '../../bench/result.ts';
import { newestResult, PAGE } from '../../bench/results.ts';
import { median, percentile } from '../../bench/statistics.ts';

const result = newestResult();

describe('the benchmark page', () => {
  test('is what the generator makes of the newest result; if not: npm run bench -- --docs', () => {
    if (result === null) throw new Error('bench/results holds no result: run `npm run bench`');
    expect(existsSync(PAGE)).toBe(true);
    expect(readFileSync(PAGE, 'utf8')).toBe(renderPage(result));
  });

  test('judges as its own numbers say', () => {
    const judgements = result?.figures.flatMap((figure) => figure.judgements) ?? [];
    expect(judgements.length).toBeGreaterThan(0);
    for (const { value, bound, limit, met } of judgements) expect(met).toBe(isMet(value, bound, limit));
  });

  test('says how many targets are missed, and which', () => {
    const figure = {
      id: 'f',
      title: 'A figure',
      unit: 'ms',
      settings: ['As it was measured.'],
      measurements: [{ subject: 'gateway', rounds: [1, 12_345, 3], median: 3 }],
      judgements: [judge('fast', 3, 'ms', 'under', 2), judge('small', 1, 'MB', 'at most', 1)],
      comparisons: [{ claim: 'something else', value: 0.5, unit: '×' }],
    };
    const page = renderPage({ ...sample, figures: [figure] });
    expect(page).toContain('1 of 2 targets are missed.');
    expect(page).toContain('| fast | 3.00 ms | under 2.00 ms | **missed** |');
    expect(page).toContain('| small | 1.00 MB | at most 1.00 MB | met |');
    expect(page).toContain('- something else: 0.500 ×');
    expect(page).toContain('| gateway | 3.00 | 1.00 to 12,345 | 3 |');
  });
});

describe('a run of some scenarios that updates the newest result', () => {
  const figure = (id: string, title: string): BenchResult['figures'][number] => ({
    ...{ id, title, unit: 'ms', settings: ['As it was measured.'] },
    ...{ measurements: [], judgements: [], comparisons: [] },
  });

  test('takes the place of those that it measured, and the others say when they were', () => {
    const earlier = { ...sample, commit: 'abc', figures: [figure('one', 'Old one'), figure('two', 'Old two')] };
    const partial = {
      ...sample,
      date: '2026-02-02',
      figures: [figure('two', 'New two'), figure('three', 'New three')],
    };
    const whole = updated(earlier, partial);
    expect(whole.date).toBe('2026-02-02');
    expect(whole.figures.map(({ title }) => title)).toEqual(['Old one', 'New two', 'New three']);
    const page = renderPage(whole);
    expect(page.match(/Of an earlier run: .*/g)).toEqual(['Of an earlier run: 2026-01-01, commit abc.']);
    // Updated once more, it still says when it was really measured.
    expect(renderPage(updated(whole, { ...partial, date: '2026-03-03', figures: [] }))).toContain(
      'Of an earlier run: 2026-01-01, commit abc.',
    );
  });
});

describe('the statistics behind it', () => {
  test('a median is the middle, or the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5);
    expect(median([4, 1, 2, 100])).toBe(3);
    expect(median([])).toBeNaN();
  });

  test('a percentile is a sample that was really seen', () => {
    const samples = Array.from({ length: 200 }, (_, at) => at + 1);
    expect(percentile(samples, 0.5)).toBe(100);
    expect(percentile(samples, 0.99)).toBe(198);
    expect(percentile([7], 0.99)).toBe(7);
  });

  test('a value that is no number meets nothing', () => {
    expect(judge('unmeasured', Number.NaN, '×', 'at most', 1).met).toBe(false);
    expect(judge('unmeasured', Number.NaN, '×', 'more than', 1).met).toBe(false);
  });
});

const sample: BenchResult = {
  date: '2026-01-01',
  commit: null,
  machine: { cpu: 'a processor', cores: 2, memoryMb: 2_048, kernel: '6.1', pinned: true, loadBefore: 0.1 },
  versions: { swarmrouter: '0.1.0', bun: '1.4.5', node: '20.0.0' },
  quick: false,
  figures: [],
};
