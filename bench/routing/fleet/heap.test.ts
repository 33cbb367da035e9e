import { expect, test } from 'bun:test';
import { seededRandom } from '../../statistics.ts';
import { Heap } from './heap.ts';

test('a heap gives back the least key first, and equals in the order they came', () => {
  const random = seededRandom(3);
  const heap = new Heap<number>();
  const keys = Array.from({ length: 2_000 }, () => Math.floor(random() * 50));
  keys.forEach((key, at) => {
    heap.push(key, at);
  });
  const expected = keys.map((key, at) => ({ key, at })).sort((a, b) => a.key - b.key || a.at - b.at);
  expect(expected.map(() => heap.pop()?.value)).toEqual(expected.map(({ at }) => at));
  expect(heap.pop()).toBeNull();
});
