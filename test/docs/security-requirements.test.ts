import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, readText, sectionOf, tableRows } from './documents.ts';

const page = readText('docs/operations/security-requirements.md');
const rows = ['## Requirements', '## Lessons']
  .flatMap((heading) => tableRows(sectionOf(page, heading)))
  .filter(([id]) => /^[SL]-\d\d$/.test(id ?? ''));
const ids = (letter: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `${letter}-${String(at + 1).padStart(2, '0')}`);

/** Whether the name of a test or of a group of tests begins with ids, this one among them. */
function isTestedIn(path: string, id: string): boolean {
  const names = readText(path).matchAll(/['`"]((?:[FLS]-\d\d[:,]? )+)/g);
  return [...names].some(([, list = '']) => list.includes(id));
}

describe('the page of security requirements', () => {
  test('has every requirement and every lesson once, in order', () => {
    expect(rows.map(([id]) => id)).toEqual([...ids('S', 25), ...ids('L', 30)]);
  });

  for (const [id = '', , does = '', tested = ''] of rows) {
    const files = [...tested.matchAll(/`([^`]+)`/g)].map(([, path = '']) => path);
    test(`${id} names tests that are there and carry its number, or says that it is not done`, () => {
      if (files.length === 0) expect(`${id} ${does}`).toContain('ot done');
      for (const path of files) {
        expect([path, existsSync(join(ROOT, path))]).toEqual([path, true]);
        expect([path, id, isTestedIn(path, id)]).toEqual([path, id, true]);
      }
    });
  }
});
