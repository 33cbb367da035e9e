import { describe, expect, test } from 'bun:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { generateKey, keyFault, shownParts } from './key-format.ts';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('S-01 a client key', () => {
  test('has a fixed shape, and no two are alike', () => {
    const keys = Array.from({ length: 2_000 }, () => generateKey());
    expect(new Set(keys).size).toBe(keys.length);
    for (const key of keys) {
      expect(key).toMatch(/^wgl_live_[0-9A-Za-z]{42}$/);
      expect(keyFault(key)).toBeNull();
    }
  });

  test('ends with the CRC-32 of what stands before it, so that a scanner needs no other knowledge', () => {
    const key = generateKey();
    let value = 0;
    for (const digit of key.slice(-6)) value = value * 62 + DIGITS.indexOf(digit);
    expect(value).toBe(crc32(key.slice(0, -6)));
  });

  test('takes no digit more often than another: bytes that do not divide evenly are thrown away', () => {
    let next = 0;
    const everyByteInTurn = (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length; at++) bytes[at] = next++ % 256;
    };
    const random = Array.from({ length: 62 }, () => generateKey(everyByteInTurn).slice(9, -6)).join('');
    const counts = [...DIGITS].map((digit) => random.split(digit).length - 1);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(4);
  });

  test('is refused without looking anything up when one character is changed, lost or added', () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.constantFrom(...DIGITS),
        fc.constantFrom('change', 'lose', 'add'),
        (at, digit, how) => {
          const key = generateKey();
          const put = how === 'lose' ? '' : digit;
          const changed = key.slice(0, at) + put + key.slice(how === 'add' ? at : at + 1);
          fc.pre(changed !== key);
          expect(keyFault(changed)).toBeString();
        },
      ),
    );
  });

  test.each([
    ['sk-proj-abc', 'it does not begin with "wgl_live_"'],
    ['wgl_live_abc', 'it has 12 characters in place of 51'],
    [`wgl_live_${'ä'.repeat(42)}`, 'it has characters that are no letters and no digits'],
    [`wgl_live_${'a'.repeat(42)}`, 'its checksum does not fit: it was mistyped or cut'],
  ])('says what is wrong with it without repeating it: %s', (text, fault) => {
    expect(keyFault(text)).toBe(fault);
  });

  test('shows eight of its characters at most', () => {
    const key = generateKey();
    expect(shownParts(key)).toEqual({ prefix: key.slice(0, 13), lastFour: key.slice(-4) });
  });
});
