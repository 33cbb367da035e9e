// Writes the documents that are derived from code, and the price catalogue. `--check` writes nothing and fails when one of them is out of date.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { metricsPage } from '../src/telemetry/metrics-page.ts';
import { catalogueText } from './catalogue.ts';
import { envExample } from './docs/env-example.ts';
import { failuresPage } from './docs/failures-page.ts';
import { settingsPage } from './docs/settings-page.ts';

const root = join(import.meta.dir, '..');

/** Path from the root of the repository → how its text is made. */
const GENERATORS: Readonly<Record<string, () => string>> = {
  '.env.example': envExample,
  'docs/reference/settings.md': settingsPage,
  'docs/reference/failures.md': failuresPage,
  'docs/reference/metrics.md': metricsPage,
  'src/usage/prices/catalogue.json': catalogueText,
};

export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
  /** False: the file in the repository says something else, or is missing. */
  readonly upToDate: boolean;
}

export function generatedFiles(): readonly GeneratedFile[] {
  return Object.entries(GENERATORS).map(([path, generate]) => {
    const text = generate();
    return { path, text, upToDate: text === current(path) };
  });
}

function current(path: string): string | null {
  try {
    return readFileSync(join(root, path), 'utf8');
  } catch {
    return null;
  }
}

function main(checkOnly: boolean): number {
  const stale = generatedFiles().filter((file) => !file.upToDate);
  for (const { path, text } of stale) {
    if (checkOnly) console.error(`${path} is out of date. Fix: npm run docs`);
    else {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
      console.log(`${path} written`);
    }
  }
  if (stale.length === 0) console.log('The generated documents are up to date.');
  return checkOnly && stale.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main(process.argv.includes('--check'));
