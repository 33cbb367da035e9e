import { z } from '@hono/zod-openapi';
import { AdminError } from './error-envelope.ts';

const USUAL = 100;
const MOST = 1_000;

/** The parameters of every list that comes in pages. */
export const pageQuery = {
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST)
    .optional()
    .openapi({ description: `Entries of one page. Default ${USUAL}.` }),
  cursor: z.string().min(1).max(3_000).optional().openapi({ description: '`next_cursor` of the page before.' }),
};
export const PAGE_ALLOWED: Readonly<Record<string, string>> = {
  limit: `a whole number from 1 to ${MOST}`,
  cursor: 'next_cursor of the page before',
};
export const nextCursor = z.string().nullable().openapi({ description: 'Null: this is the last page.' });

interface PageAsked {
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next_cursor: string | null;
}

/**
 * One page of a list, in the order of its keys. A page begins behind the key of the last entry of the one before, so that
 * none is left out or comes twice when others come or go meanwhile. Pure.
 * @param keyOf unique
 */
export function pageOf<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  { limit = USUAL, cursor }: PageAsked,
): Page<Item> {
  const after = cursor === undefined ? null : keyBehind(cursor);
  const keyed = items.map((item) => ({ key: keyOf(item), item })).filter(({ key }) => after === null || key > after);
  keyed.sort((one, other) => (one.key < other.key ? -1 : 1));
  const page = keyed.slice(0, limit);
  const last = page.at(-1);
  const isLast = keyed.length <= limit || last === undefined;
  return { items: page.map(({ item }) => item), next_cursor: isLast ? null : cursorAt(last.key) };
}

/** A key by which the oldest comes first. @param ms since the Unix epoch */
export const byAge = (ms: number, id: string): string => `${String(ms).padStart(16, '0')} ${id}`;

const cursorAt = (key: string): string => Buffer.from(key, 'utf8').toString('base64url');

function keyBehind(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  if (cursorAt(key) === cursor) return key;
  const message = `"cursor" is ${JSON.stringify(cursor.slice(0, 60))}: it should be ${PAGE_ALLOWED['cursor']}.`;
  throw new AdminError(400, 'invalid_query', message, { param: 'cursor' });
}
