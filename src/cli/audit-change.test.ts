import { describe, expect, test } from 'bun:test';
import { changesOf, nameOf } from './audit-change.ts';

describe('what an audit entry changed', () => {
  test('is shown field by field, and only what differs', () => {
    const before = { name: 'hb', projectId: 'default', limits: { rpm: 60, tpm: null }, models: ['a'], revision: 1 };
    const after = { ...before, name: 'hb2', limits: { rpm: 120, tpm: null }, models: ['a', 'b'], revision: 2 };
    expect(changesOf({ before, after })).toEqual([
      'name: "hb" → "hb2"',
      'limits.rpm: 60 → 120',
      'models: ["a"] → ["a","b"]',
    ]);
  });

  test('of a field that came or went says none for the other side', () => {
    expect(changesOf({ before: { a: { x: 1 } }, after: { a: null, b: true } })).toEqual([
      'a.x: 1 → none',
      'a: none → null',
      'b: none → true',
    ]);
  });

  test('of what was made or ended is all that was set', () => {
    expect(changesOf({ before: null, after: { name: 'hb', owner: null } })).toEqual(['name: "hb"']);
    expect(changesOf({ before: { name: 'hb' }, after: null })).toEqual(['name: "hb"']);
    expect(changesOf({ before: null, after: null })).toEqual([]);
  });

  test('of a text that is no object is the text, cut only where it is long, and without control characters', () => {
    expect(changesOf({ before: null, after: 'read anew' })).toEqual(['"read anew"']);
    const [line = ''] = changesOf({ before: null, after: { note: 'x'.repeat(200), 'a\u001bb': 1 } });
    expect(line).toBe(`note: "${'x'.repeat(59)}…`);
    expect(changesOf({ before: null, after: { 'a\u001bb': 1 } })).toEqual(['a b: 1']);
  });

  test('is of something with a name, where the entry has one', () => {
    expect(nameOf({ before: { name: 'old' }, after: { name: 'new' } })).toBe('new');
    expect(nameOf({ before: { name: 'gone' }, after: null })).toBe('gone');
    expect(nameOf({ before: null, after: { rpm: 1 } })).toBeNull();
  });
});
