import { expect, test } from 'bun:test';
import { ContextSeen } from './context-seen.ts';

const cut = (tokens: number, conversation: number, atMs = 0) => ({ tokens, conversation, atMs });

function seen(...cuts: readonly ReturnType<typeof cut>[]): ContextSeen {
  const context = new ContextSeen();
  for (const each of cuts) context.wasCut(each);
  return context;
}

test('two conversations that were cut to about the same length show the limit; one, however often, does not', () => {
  expect(seen(cut(4_000, 1)).limitAt(0)).toBeNull();
  expect(seen(cut(4_000, 1), cut(4_000, 1), cut(4_000, 1)).limitAt(0)).toBeNull();
  expect(seen(cut(4_000, 1), cut(3_000, 2)).limitAt(0)).toBeNull();
  expect(seen(cut(4_000, 1), cut(4_050, 2)).limitAt(0)).toBe(4_050);
});

test('no limit is believed that no server has', () => {
  expect(seen(cut(150, 1), cut(150, 2), cut(150, 3)).limitAt(0)).toBeNull();
});

test('a limit is forgotten when a longer prompt is read whole: the model was loaded anew', () => {
  const context = seen(cut(4_000, 1), cut(4_000, 2));
  context.readWhole(9_000);
  expect(context.limitAt(0)).toBeNull();
});

test('a cut below what was read whole counts only once others confirm it', () => {
  const context = new ContextSeen();
  context.readWhole(9_000);
  context.wasCut(cut(4_000, 1));
  context.wasCut(cut(4_000, 2));
  expect(context.limitAt(0)).toBeNull();
  context.wasCut(cut(4_000, 3));
  expect(context.limitAt(0)).toBe(4_000);
});

test('a limit is tried again after half an hour, and one more cut confirms it', () => {
  const context = seen(cut(4_000, 1), cut(4_000, 2));
  const later = 31 * 60_000;
  expect([context.limitAt(30 * 60_000), context.limitAt(later)]).toEqual([4_000, null]);
  context.wasCut(cut(4_000, 2, later));
  expect(context.limitAt(later)).toBe(4_000);
});
