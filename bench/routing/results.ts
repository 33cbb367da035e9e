import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rounded } from '../result.ts';
import { firstTokenPlot, frontierPlot } from './plots.ts';
import { renderPage } from './report.ts';
import type { RoutingResult } from './result.ts';

const RESULTS_FOLDER = join(import.meta.dir, 'results');
const DOCS = join(import.meta.dir, '..', '..', 'docs');
const DATED = /^\d{4}-\d{2}-\d{2}\.json$/;

/** The result of the latest day; null: there is none yet. */
export function newestResult(): RoutingResult | null {
  if (!existsSync(RESULTS_FOLDER)) return null;
  const newest = readdirSync(RESULTS_FOLDER)
    .filter((name) => DATED.test(name))
    .sort()
    .at(-1);
  return newest === undefined
    ? null
    : (JSON.parse(readFileSync(join(RESULTS_FOLDER, newest), 'utf8')) as RoutingResult);
}

export function writeResult(result: RoutingResult, path = join(RESULTS_FOLDER, `${result.date}.json`)): void {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  writeFileSync(path, `${toJson(result)}\n`);
}

export function toJson(result: RoutingResult): string {
  return JSON.stringify(result, (_, value) => (typeof value === 'number' ? rounded(value) : value), 2);
}

/** The page and its plots: pure functions of a result, each with its path in the repository. */
export function documentsOf(result: RoutingResult): { readonly path: string; readonly text: string }[] {
  return [
    { path: join(DOCS, 'routing-benchmark.md'), text: renderPage(result) },
    { path: join(DOCS, 'routing-first-token.svg'), text: firstTokenPlot(result) },
    { path: join(DOCS, 'routing-frontier.svg'), text: frontierPlot(result) },
  ];
}

/** Makes the documents from the newest result. False: there is none. */
export function writeDocuments(): boolean {
  const result = newestResult();
  if (result === null) return false;
  for (const { path, text } of documentsOf(result)) writeFileSync(path, text);
  return true;
}
