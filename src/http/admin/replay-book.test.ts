import { expect, test } from 'bun:test';
import { type KeptReply, ReplayBook } from './replay-book.ts';

const replyOf = (length: number): KeptReply => ({ status: 201, headers: [], body: new Uint8Array(length) });
const DAY_MS = 86_400_000;

test('a write is begun once, is under way until it has ended, and is answered for a day', () => {
  const book = new ReplayBook();
  expect(book.begin('acme', 'a', 'f', 0)).toEqual({ kind: 'begun' });
  expect(book.begin('acme', 'a', 'f', 1)).toEqual({ kind: 'running' });
  expect(book.begin('acme', 'a', 'g', 1)).toEqual({ kind: 'other' });
  book.end('acme', 'a', replyOf(3));
  book.end('acme', 'a', replyOf(9));
  expect(book.begin('acme', 'a', 'f', DAY_MS - 1)).toEqual({ kind: 'done', reply: replyOf(3) });
  expect(book.begin('acme', 'a', 'g', DAY_MS - 1)).toEqual({ kind: 'other' });
  expect(book.begin('acme', 'a', 'g', DAY_MS)).toEqual({ kind: 'begun' });
});

test('one that changed nothing may be tried again with the same key', () => {
  const book = new ReplayBook();
  book.begin('acme', 'a', 'f', 0);
  book.end('acme', 'a', null);
  expect([book.begin('acme', 'a', 'g', 1), book.size]).toEqual([{ kind: 'begun' }, 1]);
});

test('no more are kept than allowed, the oldest leave first, and none that is under way', () => {
  const book = new ReplayBook({ entries: 3, bytes: 100 });
  book.begin('acme', 'running', 'f', 0);
  for (const name of ['a', 'b', 'c', 'd']) {
    book.begin('acme', name, 'f', 1);
    book.end('acme', name, replyOf(1));
  }
  expect(book.size).toBe(3);
  expect(book.begin('acme', 'running', 'f', 2)).toEqual({ kind: 'running' });
  expect(book.begin('acme', 'd', 'f', 2).kind).toBe('done');
  const large = new ReplayBook({ bytes: 100 });
  for (const name of ['a', 'b', 'c']) {
    large.begin('acme', name, 'f', 0);
    large.end('acme', name, replyOf(60));
  }
  expect(large.begin('acme', 'c', 'f', 0).kind).toBe('done');
  expect(large.size).toBeLessThanOrEqual(2);
});

test('an organisation that sends more than there is room for pushes out its own alone', () => {
  const limited: [ReplayBook, number][] = [
    [new ReplayBook({ entries: 10 }), 1],
    [new ReplayBook({ bytes: 1_000 }), 100],
  ];
  for (const [book, length] of limited) {
    const write = (organisation: string, name: string) => {
      book.begin(organisation, name, 'f', 0);
      book.end(organisation, name, replyOf(length));
    };
    for (const name of ['a', 'b', 'c']) write('quiet', name);
    for (let at = 0; at < 50; at++) write('busy', `${at}`);
    expect(['a', 'b', 'c'].map((name) => book.begin('quiet', name, 'f', 1).kind)).toEqual(['done', 'done', 'done']);
    expect([book.begin('busy', '49', 'f', 1).kind, book.begin('busy', '0', 'f', 1).kind]).toEqual(['done', 'begun']);
    expect(book.size).toBeLessThanOrEqual(11);
  }
});
