import { expect, test } from 'bun:test';
import { hashKey, madeKey } from '../../test/support/client-keys.ts';
import { shownVersion } from '../core/client-key.ts';
import { KeyBook } from './key-book.ts';
import { newKey } from './new-key.ts';

test('a new key opens the door with its text, of which nothing but the two ends is kept or can be printed', () => {
  const { text, version } = newKey(hashKey, 5_000);
  const { key } = madeKey('alice', { versions: [version] });
  expect(new KeyBook(hashKey, [key]).find(text.reveal(), 5_000)?.state).toBe('live');
  expect(version.createdAtMs).toBe(5_000);
  const [start, end] = shownVersion(version).split('…');
  expect(text.reveal()).toStartWith(start ?? '-');
  expect(text.reveal()).toEndWith(end ?? '-');
  expect(JSON.stringify({ text, version })).not.toContain(text.reveal().slice(13, -4));
});
