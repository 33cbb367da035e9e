import { describe, expect, test } from 'bun:test';
import { ROOT, readText, sectionOf, tableRows } from '../docs/documents.ts';

const PAGE = 'docs/operations/faults.md';

/** The ids that test names begin with, in all test files. A name may carry several: `F-10, F-13 …`. */
function testedIds(): Set<string> {
  const files = [...new Bun.Glob('{src,test}/**/*.test.ts').scanSync({ cwd: ROOT })];
  const ids = new Set<string>();
  for (const file of files) {
    // Names stand behind `test(`, `describe(`, a table's row, or in parentheses at its end.
    for (const [, list] of readText(file).matchAll(/['`"](F-\d\d(?:, F-\d\d)*)\b/g))
      for (const id of list?.split(', ') ?? []) ids.add(id);
  }
  return ids;
}

const idsIn = (text: string): string[] =>
  tableRows(text)
    .map(([id]) => id ?? '')
    .filter((id) => /^F-\d\d$/.test(id));

describe('the page of faults', () => {
  const page = readText(PAGE);
  const later = idsIn(sectionOf(page, '## Later'));
  // The page's first table.
  const handled = idsIn(page);

  test('lists every fault of the catalogue once', () => {
    const all = Array.from({ length: 50 }, (_, n) => `F-${String(n + 1).padStart(2, '0')}`);
    expect([...handled, ...later].toSorted()).toEqual(all);
  });

  test('calls nothing handled that has no test of its name, and nothing later that has one', () => {
    const tested = testedIds();
    expect(handled.filter((id) => !tested.has(id))).toEqual([]);
    expect(later.filter((id) => tested.has(id))).toEqual([]);
  });
});
