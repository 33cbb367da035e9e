import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { checkShape, JsonShapeError, patchTopLevel, topLevelRanges } from './json-patch.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe('patching top-level members of raw JSON', () => {
  test('leaves every other byte as the client sent it', () => {
    const raw = encode('{ "model": "a", "seed": 1.0e2, "x": {"model":"inner"}, "stream":false }');
    expect(decode(patchTopLevel(raw, { model: 'b', stream: true }))).toBe(
      '{"seed": 1.0e2, "x": {"model":"inner"},"model":"b","stream":true}',
    );
  });

  test('replaces a member that occurs twice, also when its name is escaped', () => {
    const raw = encode('{"model":"a","\\u006dodel":"b","n":1}');
    expect(JSON.parse(decode(patchTopLevel(raw, { model: 'c' })))).toEqual({ model: 'c', n: 1 });
    expect(decode(patchTopLevel(raw, { model: 'c' })).match(/model/g)?.length).toBe(1);
  });

  test('gives the very bytes back when each member has its value already', () => {
    const raw = encode('{"model":"a", "stream":false}');
    const parsed = { model: 'a', stream: false };
    expect(patchTopLevel(raw, { model: 'a', stream: false, absent: undefined }, parsed)).toBe(raw);
    expect(decode(patchTopLevel(raw, { model: 'a', stream: true }, parsed))).toBe('{"model":"a","stream":true}');
  });

  test('replaces a member that occurs twice although the last has the value already', () => {
    const raw = encode('{"model":"hidden","x":1,"\\u006dodel":"a"}');
    expect(decode(patchTopLevel(raw, { model: 'a' }, { model: 'a', x: 1 }))).toBe('{"x":1,"model":"a"}');
  });

  test('the same bytes may be looked at again, with other changes each time', () => {
    const raw = encode('{"model":"a","x":[1,{"model":2}],"messages": [3]}');
    const ranges = topLevelRanges(raw, ['messages']);
    expect(decode(patchTopLevel(raw, { model: 'b' }))).toBe('{"x":[1,{"model":2}],"messages": [3],"model":"b"}');
    expect(decode(patchTopLevel(raw, { x: undefined }))).toBe('{"model":"a","messages": [3]}');
    expect(topLevelRanges(raw, ['messages'])).toEqual(ranges);
    expect(decode(raw.subarray(ranges.messages?.start, ranges.messages?.end))).toBe('[3]');
    // Other bytes are others, however alike.
    expect(decode(patchTopLevel(encode('{"model":"c"}'), { model: 'd' }))).toBe('{"model":"d"}');
  });

  test('equals parse, change and serialise for any object', () => {
    const value = fc.jsonValue();
    const key = fc.oneof(fc.constantFrom('model', 'stream', 'stream_options', '__proto__'), fc.string());
    fc.assert(
      fc.property(
        fc.dictionary(key, value),
        fc.dictionary(key, fc.option(value, { nil: undefined })),
        (body, changes) => {
          const expected = new Map(Object.entries(JSON.parse(JSON.stringify(body)) as object));
          for (const [name, changed] of Object.entries(changes)) {
            if (changed === undefined) expected.delete(name);
            else expected.set(name, JSON.parse(JSON.stringify(changed)));
          }
          const patched = JSON.parse(decode(patchTopLevel(encode(JSON.stringify(body, null, 1)), changes))) as object;
          expect(new Map(Object.entries(patched))).toEqual(expected);
          const raw = encode(JSON.stringify(body));
          const again = JSON.parse(decode(patchTopLevel(raw, changes, JSON.parse(decode(raw))))) as object;
          expect(new Map(Object.entries(again))).toEqual(expected);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the check of a body’s shape', () => {
  const checkDepth = (bytes: Uint8Array, maxDepth: number) => checkShape(bytes, { maxDepth, maxKeys: 10 });

  test('refuses nesting beyond the limit and ignores brackets inside strings', () => {
    checkDepth(encode('{"a":"[[[[[[[\\"[[[["}'), 2);
    expect(() => checkDepth(encode('[[[1]]]'), 2)).toThrow(JsonShapeError);
  });

  test('stops early on a long run of brackets', () => {
    expect(() => checkDepth(new Uint8Array(10_000_000).fill(0x5b), 64)).toThrow('nested deeper than 64 levels');
  });

  test('counts the keys of all objects together, and nothing inside strings', () => {
    const limits = { maxDepth: 9, maxKeys: 3 };
    checkShape(encode('{"a:b":[{"c":":::"},{"d":1}]}'), limits);
    expect(() => checkShape(encode('{"a":[{"c":1},{"d":{"e":1}}]}'), limits)).toThrow('made of more than 3 keys');
  });
});
