import { describe, expect, test } from 'bun:test';
import { readFlags } from './flags.ts';

describe('the flags of the chaos run', () => {
  test('have defaults, and a new seed each time', () => {
    const flags = readFlags([], 1_234_567);
    expect([flags?.requests, flags?.seed, flags?.soakSeconds, flags?.only]).toEqual([20_000, 234_567, 0, null]);
  });

  test('send named requests one after the other', () => {
    const flags = readFlags(['--only', '4,17', '--seed', '3'], 0);
    expect([flags?.only, flags?.requests, flags?.clients, flags?.seed]).toEqual([[4, 17], 2, 1, 3]);
  });

  test('are nothing when help is asked for', () => {
    expect(readFlags(['--help'], 0)).toBeNull();
  });

  for (const [flag, value, allowed] of [
    ['--requests', '-1', 'a whole number from 0'],
    ['--requests', '1e3', 'a whole number from 0'],
    ['--seed', 'x', 'a whole number from 0'],
    ['--soak', '5', 'a whole number from 10'],
    ['--clients', '0', 'a whole number from 1'],
    ['--faults', '1.5', 'a number from 0 to 1'],
    ['--faults', '', 'a number from 0 to 1'],
    ['--only', '1,two', 'a whole number from 0'],
  ] as const) {
    test(`refuse ${flag} ${JSON.stringify(value)} and say what is allowed`, () => {
      expect(() => readFlags([`${flag}=${value}`], 0)).toThrow(`allowed: ${allowed}`);
    });
  }

  test('refuse what they do not know', () => {
    expect(() => readFlags(['--frobnicate'], 0)).toThrow('--frobnicate');
  });
});
