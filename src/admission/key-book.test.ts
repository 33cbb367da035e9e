import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { hashKey, madeKey, versionOf } from '../../test/support/client-keys.ts';
import { rotateKey } from '../core/client-key.ts';
import { KeyBook } from './key-book.ts';
import { generateKey } from './key-format.ts';

describe('S-01 L-04 the key book', () => {
  test('knows whose key a text is, and nobody else’s', () => {
    const [alice, bob] = [madeKey('alice', { projectId: 'web', owner: 'Alice' }), madeKey('bob')];
    const book = new KeyBook(hashKey, [alice.key, bob.key]);
    expect(book.find(alice.text, 0)).toMatchObject({
      state: 'live',
      caller: { kind: 'key', keyId: 'alice', projectId: 'web', owner: 'Alice' },
    });
    expect(book.find(bob.text, 0)).toMatchObject({ caller: { keyId: 'bob' } });
    expect(book.find(generateKey(), 0)).toBeNull();
    expect(book.byId('alice')).toBe(alice.key);
  });

  test('gives out nothing that the key could be made from', () => {
    const { text, key } = madeKey('alice');
    const found = new KeyBook(hashKey, [key]).find(text, 0);
    if (found?.state !== 'live') throw new Error('not found');
    expect(JSON.stringify(found.caller)).not.toContain(key.versions[0].hash);
    expect(JSON.stringify(found)).not.toContain(text);
  });

  test('never finds one key’s entry by another’s text, however alike they are', () => {
    const almost = (text: string, at: number, digit: string) => text.slice(0, at) + digit + text.slice(at + 1);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(50), fc.constantFrom(...'0Az9')), { maxLength: 40 }), (changes) => {
        const { text, key } = madeKey('one');
        const texts = new Set([text, ...changes.map(([at, digit]) => almost(text, at, digit))]);
        const keys = [...texts].map((other, at) =>
          other === text ? key : madeKey(`other-${at}`, { versions: [versionOf(other)] }).key,
        );
        const book = new KeyBook(hashKey, keys);
        const found = [...texts].map((other) => book.find(other, 0)?.key.id);
        expect(found).toEqual(keys.map(({ id }) => id));
      }),
    );
  });

  test('a key opens until the very moment when it expires or is revoked, and then says since when', () => {
    const { text, key } = madeKey('alice', { expiresAtMs: 1_000 });
    const book = new KeyBook(hashKey, [key]);
    expect(book.find(text, 999)?.state).toBe('live');
    expect(book.find(text, 1_000)).toMatchObject({ state: 'expired', sinceMs: 1_000 });
    book.apply({ kind: 'put', key: { ...key, revokedAtMs: 500 } });
    expect(book.find(text, 600)).toMatchObject({ state: 'revoked', sinceMs: 500 });
  });

  test('late news do not bring a revoked key back', () => {
    const { text, key } = madeKey('alice');
    const book = new KeyBook(hashKey, [key]);
    book.apply({ kind: 'put', key: { ...key, revokedAtMs: 500 } });
    book.apply({ kind: 'put', key: { ...key, name: 'new name' } });
    expect(book.find(text, 600)).toMatchObject({ state: 'revoked', key: { name: 'new name' } });
  });

  test('a rotated key has two texts until the old one’s time is over, and never three', () => {
    const { text, key } = madeKey('alice');
    const book = new KeyBook(hashKey, [key]);
    const [second, third] = [generateKey(), generateKey()];
    const once = rotateKey(key, versionOf(second), 1_000);
    book.apply({ kind: 'put', key: once });
    const states = (wallMs: number) => [text, second, third].map((one) => book.find(one, wallMs)?.state);
    expect(states(999)).toEqual(['live', 'live', undefined]);
    expect(states(1_000)).toEqual(['expired', 'live', undefined]);
    book.apply({ kind: 'put', key: rotateKey(once, versionOf(third), 2_000) });
    expect(states(500)).toEqual([undefined, 'live', 'live']);
    book.apply({ kind: 'put', key: { ...rotateKey(once, versionOf(third), 2_000), revokedAtMs: 700 } });
    expect(states(800)).toEqual([undefined, 'revoked', 'revoked']);
  });

  test('rotating gives an old text no longer life than it had', () => {
    const { key } = madeKey('alice', { versions: [versionOf(generateKey(), { expiresAtMs: 100 })] });
    expect(rotateKey(key, versionOf(generateKey()), 5_000).versions[1]?.expiresAtMs).toBe(100);
  });

  test('what is taken off the record is gone at once', () => {
    const [alice, bob] = [madeKey('alice'), madeKey('bob')];
    const book = new KeyBook(hashKey, [alice.key, bob.key]);
    book.apply({ kind: 'remove', id: 'alice' });
    book.apply({ kind: 'remove', id: 'nobody' });
    expect([book.size, book.find(alice.text, 0), book.find(bob.text, 0)?.state]).toEqual([1, null, 'live']);
  });

  test('news that contradict what is known change nothing', () => {
    const [alice, bob, mallory] = [madeKey('alice'), madeKey('bob'), madeKey('mallory')];
    const book = new KeyBook(hashKey, [alice.key, bob.key, mallory.key]);
    const known = () => [alice, bob, mallory].map(({ text }) => book.find(text, 0));
    const before = known();
    const thief = { ...mallory.key, versions: [versionOf(generateKey()), ...alice.key.versions] as const };
    const newcomer = madeKey('newcomer', { versions: alice.key.versions }).key;
    const twice = { ...bob.key, versions: [...bob.key.versions, ...bob.key.versions] as const };
    const unhashed = { ...mallory.key, versions: [versionOf(mallory.text, { hash: 'abc' })] as const };
    for (const key of [thief, newcomer, twice, unhashed]) {
      expect(() => book.apply({ kind: 'put', key })).toThrow(key.id);
      const others = [alice.key, bob.key, mallory.key].filter(({ id }) => id !== key.id);
      expect(() => book.replace([...others, key])).toThrow(key.id);
      expect(known()).toEqual(before);
    }
    expect(() => book.replace([alice.key, { ...bob.key, id: 'alice' }])).toThrow('alice');
    expect([book.size, known()]).toEqual([3, before]);
  });

  test('told of changes one by one it knows what it would know had it been loaded anew', () => {
    const made = Array.from({ length: 5 }, (_, at) => madeKey(`key-${at}`));
    const change = fc.tuple(fc.nat(4), fc.constantFrom('put', 'revoke', 'remove', 'rotate', 'expire'));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const book = new KeyBook(hashKey);
        const texts = made.map(({ text }) => text);
        for (const [at, what] of changes) {
          const first = made[at];
          if (first === undefined) continue;
          const key = book.byId(first.key.id) ?? first.key;
          if (what === 'remove') book.apply({ kind: 'remove', id: key.id });
          if (what === 'put') book.apply({ kind: 'put', key });
          if (what === 'revoke') book.apply({ kind: 'put', key: { ...key, revokedAtMs: 5 } });
          if (what === 'expire') book.apply({ kind: 'put', key: { ...key, expiresAtMs: 5 } });
          if (what === 'rotate') {
            texts.push(generateKey());
            book.apply({ kind: 'put', key: rotateKey(key, versionOf(texts.at(-1) ?? ''), 20) });
          }
        }
        const ids = made.map(({ key }) => key.id);
        const fresh = new KeyBook(
          hashKey,
          ids.flatMap((id) => book.byId(id) ?? []),
        );
        expect(book.size).toBe(fresh.size);
        for (const text of texts) expect(book.find(text, 10)).toEqual(fresh.find(text, 10));
      }),
    );
  });
});
