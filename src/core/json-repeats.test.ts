import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { checkShape } from './json-patch.ts';
import { repeatedMember } from './json-repeats.ts';
import { MemberNames } from './member-names.ts';

const ITEM = new MemberNames(['name', 'text'], { inner: new MemberNames(['name']) });
const NAMES = new MemberNames(['name', 'free'], { list: ITEM, one: ITEM });
const find = (text: string) => repeatedMember(new TextEncoder().encode(text), NAMES);

test.each([
  ['{}', null],
  ['{"name":1,"free":{"name":1,"name":2},"x":1,"x":2}', null],
  ['{"name":1,"name":2}', ['name']],
  ['{"name":1,"n\\u0061me":2}', ['name']],
  ['{"list":[{"name":1},{"name":"a,\\"name\\":","text":"}]","name":2}]}', ['list', 1, 'name']],
  ['{"list":[[{"x":1}],[0,{"text":1,"text":2}]]}', ['list', 1, 1, 'text']],
  ['{"one":{"inner":[{"name":1}],"text":0,"inner":{}}}', ['one', 'inner']],
  ['{"one":{"inner":{"other":{"name":1,"name":2},"name":[1],"name":2}}}', ['one', 'inner', 'name']],
  ['{"x":{"one":{"name":1,"name":2}},"one":{"name":1}}', null],
  [' { "one" : { "name" : { } , "text" : [ ] , "name" : [ { } ] } } ', ['one', 'name']],
  ['{"__proto__":{"name":1},"constructor":[],"list":[]}', null],
])('of %s it is %p', (text, path) => {
  expect(find(text)).toEqual(path);
});

const name = fc.constantFrom('name', 'text', 'inner', 'list', 'one', 'free', 'x');
const { value: json } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean()),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(name, tie('value'), { maxKeys: 4 }),
  ),
}));
const document = fc.dictionary(name, json, { maxKeys: 5 });

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce<number>((sum, inner) => sum + membersOf(inner), own);
}

test('what JSON.stringify writes has none, and as many members as it has', () => {
  fc.assert(
    fc.property(document, fc.constantFrom(0, 1, '\t'), (body, indent) => {
      const text = JSON.stringify(body, null, indent);
      expect(find(text)).toBeNull();
      const limits = { maxDepth: 99, maxKeys: 9_999 };
      expect(checkShape(new TextEncoder().encode(text), limits)).toBe(membersOf(body));
    }),
  );
});

test('one that is written in once more is found where it is, whatever stands around it', () => {
  fc.assert(
    fc.property(document, document, json, (before, after, value) => {
      // Each in an object of its own, so that nothing else is there twice.
      const item = `{"text":${JSON.stringify(value)},"x":0,"text":"last"}`;
      const text = `{"x":${JSON.stringify(before)},"list":[${JSON.stringify(after.x ?? 0)},${item}]}`;
      expect(find(text)).toEqual(['list', 1, 'text']);
    }),
  );
});
