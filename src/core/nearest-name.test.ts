import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { editDistance, nearestName } from './nearest-name.ts';

describe('the nearest known name', () => {
  test('a swapped pair of letters is one edit', () => {
    expect(editDistance('prot', 'port')).toBe(1);
  });

  test('is found over a missing or a wrong letter, whatever the case', () => {
    expect(nearestName('max_retrys', ['max_concurrent', 'max_retries'])).toBe('max_retries');
    expect(nearestName('LMSTUDIO_ULR', ['LMSTUDIO_URL', 'OLLAMA_URL'])).toBe('LMSTUDIO_URL');
    expect(nearestName('Port', ['host', 'port'])).toBe('port');
  });

  test('is not given when nothing is near: a wild guess would mislead', () => {
    expect(nearestName('zzzzzzzzzz', ['port', 'host'])).toBeNull();
    expect(nearestName('anything', [])).toBeNull();
  });

  test('distance is symmetric, zero for equal words, and at most the longer length', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (from, to) => {
        const distance = editDistance(from, to);
        expect(distance).toBe(editDistance(to, from));
        expect(distance === 0).toBe(from === to);
        expect(distance).toBeLessThanOrEqual(Math.max(from.length, to.length));
      }),
    );
  });
});
