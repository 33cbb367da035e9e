import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { byAge, pageOf } from './page.ts';

const names = fc.uniqueArray(fc.string({ maxLength: 6, unit: 'grapheme' }), { maxLength: 30 });
const limit = fc.integer({ min: 1, max: 7 });

function walk(items: readonly string[], size: number, between: (taken: number) => readonly string[] = () => items) {
  const seen: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = pageOf(between(seen.length), (item) => item, { limit: size, cursor });
    seen.push(...page.items);
    if (page.next_cursor === null) return seen;
    cursor = page.next_cursor;
  }
}

describe('a list in pages', () => {
  test('gives every entry once and in order, however many a page holds', () => {
    fc.assert(
      fc.property(names, limit, (items, size) => {
        const seen = walk(items, size);
        expect(seen).toEqual([...seen].sort((one, other) => (one < other ? -1 : 1)));
        expect(new Set(seen)).toEqual(new Set(items));
        expect(seen.length).toBe(items.length);
      }),
    );
  });

  test('leaves nothing out and repeats nothing while entries go, the last of a page among them', () => {
    fc.assert(
      fc.property(names, limit, fc.nat(), (items, size, seed) => {
        const gone = new Set<string>();
        const seen = walk(items, size, (taken) => {
          const left = items.filter((item) => !gone.has(item));
          if (taken > 0 && left.length > 0) gone.add(left[seed % left.length] ?? '');
          return items.filter((item) => !gone.has(item));
        });
        expect(new Set(seen).size).toBe(seen.length);
        for (const item of items) if (!gone.has(item)) expect(seen).toContain(item);
      }),
    );
  });

  test('refuses a cursor that none of its pages gave', () => {
    expect(() => pageOf(['a'], (item) => item, { cursor: 'no cursor!' })).toThrow('"cursor" is "no cursor!"');
  });

  test('that is in order of age begins with the oldest', () => {
    const ages = [9, 10, 1_700_000_000_000];
    expect(pageOf(ages, (ms) => byAge(ms, 'x'), {}).items).toEqual(ages);
  });
});
