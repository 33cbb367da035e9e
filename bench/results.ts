import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderPage } from './report.ts';
import { type BenchResult, rounded } from './result.ts';

export const RESULTS_FOLDER = join(import.meta.dir, 'results');
export const PAGE = join(import.meta.dir, '..', 'docs', 'benchmarks.md');
const DATED = /^\d{4}-\d{2}-\d{2}\.json$/;

/** The result of the latest day; null: there is none yet. */
export function newestResult(): BenchResult | null {
  const newest = readdirSync(RESULTS_FOLDER)
    .filter((name) => DATED.test(name))
    .sort()
    .at(-1);
  return newest === undefined ? null : (JSON.parse(readFileSync(join(RESULTS_FOLDER, newest), 'utf8')) as BenchResult);
}

export function writeResult(result: BenchResult, path = join(RESULTS_FOLDER, `${result.date}.json`)): string {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const json = JSON.stringify(result, (_, value) => (typeof value === 'number' ? rounded(value) : value), 2);
  writeFileSync(path, `${json}\n`);
  return path;
}

/** Writes docs/benchmarks.md from the newest result. False: there is none. */
export function writePage(): boolean {
  const result = newestResult();
  if (result === null) return false;
  writeFileSync(PAGE, renderPage(result));
  return true;
}
