import { expect, test } from 'bun:test';
import { type KeptReply, ReplayBook } from './replay-book.ts';

const replyOf = (length: number): KeptReply => ({ status: 201, headers: [], body: new Uint8Array(length) });
const DAY_MS = 86_400_000;

test('a write is begun once, is under way until it has ended, and is answered for a day', () => {
  const book = new ReplayBook();
  expect(book.begin('a', 'f', 0)).toEqual({ kind: 'begun' });
  expect(book.begin('a', 'f', 1)).toEqual({ kind: 'running' });
  expect(book.begin('a', 'g', 1)).toEqual({ kind: 'other' });
  book.end('a', replyOf(3));
  book.end('a', replyOf(9));
  expect(book.begin('a', 'f', DAY_MS - 1)).toEqual({ kind: 'done', reply: replyOf(3) });
  expect(book.begin('a', 'g', DAY_MS - 1)).toEqual({ kind: 'other' });
  expect(book.begin('a', 'g', DAY_MS)).toEqual({ kind: 'begun' });
});

test('one that changed nothing may be tried again with the same key', () => {
  const book = new ReplayBook();
  book.begin('a', 'f', 0);
  book.end('a', null);
  expect([book.begin('a', 'g', 1), book.size]).toEqual([{ kind: 'begun' }, 1]);
});

test('no more are kept than allowed, the oldest leave first, and none that is under way', () => {
  const book = new ReplayBook({ entries: 3, bytes: 100 });
  book.begin('running', 'f', 0);
  for (const name of ['a', 'b', 'c', 'd']) {
    book.begin(name, 'f', 1);
    book.end(name, replyOf(1));
  }
  expect(book.size).toBe(3);
  expect(book.begin('running', 'f', 2)).toEqual({ kind: 'running' });
  expect(book.begin('d', 'f', 2).kind).toBe('done');
  const large = new ReplayBook({ bytes: 100 });
  for (const name of ['a', 'b', 'c']) {
    large.begin(name, 'f', 0);
    large.end(name, replyOf(60));
  }
  expect(large.begin('c', 'f', 0).kind).toBe('done');
  expect(large.size).toBeLessThanOrEqual(2);
});
