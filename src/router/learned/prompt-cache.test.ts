import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { blockCount, NO_PROMPT, type PromptFacts } from '../../core/prompt.ts';
import { PromptCache } from './prompt-cache.ts';

/** A prompt of so many bytes in a conversation; those of one `text` share what they begin with. */
function prompt(text: number, bytes: number, conversation = text): PromptFacts {
  const blocks = Uint32Array.from({ length: blockCount(bytes) }, (_, index) => text * 1_000 + index);
  return { ...NO_PROMPT, bytes, sentBytes: bytes, conversation, blocks };
}

describe('what a server probably has cached', () => {
  test('is the turn before, and of another conversation what both begin with', () => {
    const cache = new PromptCache();
    cache.resize(2);
    cache.add(prompt(1, 10_000), 0);
    expect(cache.cachedShare(prompt(1, 20_000), 0)).toBeCloseTo(0.5, 2);
    const mixed = { ...prompt(2, 10_000), blocks: prompt(1, 5_000).blocks };
    expect(cache.cachedShare(mixed, 0)).toBeCloseTo(4_864 / 10_000, 5);
    expect(cache.cachedShare(prompt(3, 10_000), 0)).toBe(0);
  });

  test('is forgotten when slots run out, when it is old, and when the model leaves', () => {
    const cache = new PromptCache();
    cache.resize(2);
    for (const text of [1, 2, 3]) cache.add(prompt(text, 1_000), 0);
    expect([1, 2, 3].map((text) => cache.holds(prompt(text, 1_000)))).toEqual([false, true, true]);
    expect([cache.liveConversations(0), cache.liveConversations(11 * 60_000)]).toEqual([2, 0]);
    expect(cache.cachedShare(prompt(3, 1_000), 11 * 60_000)).toBe(0);
    cache.clear();
    expect(cache.size).toBe(0);
  });

  test('one conversation takes one place, however long it goes on', () => {
    const cache = new PromptCache();
    cache.resize(2);
    cache.add(prompt(9, 1_000), 0);
    for (let turn = 1; turn < 20; turn++) cache.add(prompt(1, turn * 500), 0);
    expect(cache.size).toBe(2);
    expect(cache.holds(prompt(9, 1_000))).toBe(true);
  });

  test('shrinks when predictions are refuted, grows when hits come that nobody predicted', () => {
    const cache = new PromptCache();
    cache.resize(8);
    for (let n = 0; n < 3; n++) cache.correct(1_000, 0, 1_200);
    expect(cache.capacity).toBeLessThan(5);
    for (let n = 0; n < 12; n++) cache.correct(0, 1_000, 1_200);
    expect(cache.capacity).toBeGreaterThan(30);
    cache.correct(1_000, 990, 1_200);
    expect(cache.capacity).toBeLessThanOrEqual(64);
  });

  test('is a share between none and all, and never more conversations than there is room for', () => {
    const step = fc.record({ text: fc.nat(5), bytes: fc.integer({ min: 1, max: 400_000 }), slots: fc.nat(80) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = new PromptCache();
        for (const { text, bytes, slots } of steps) {
          cache.resize(slots);
          const share = cache.cachedShare(prompt(text, bytes), 0);
          expect(share >= 0 && share <= 1).toBe(true);
          cache.add(prompt(text, bytes), 0);
          expect(cache.size).toBeLessThanOrEqual(Math.max(1, Math.min(64, slots)));
        }
      }),
    );
  });
});
