import { type AdminClient, type AdminReply, fieldOf } from './admin-client.ts';
import { listOf } from './cells.ts';

const PAGE = 1_000;

/**
 * A list of the admin API as if it came in one page.
 * @param list the field that holds it · @param query what is left out is not sent
 */
export async function allOf(
  client: AdminClient,
  path: string,
  list: string,
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<AdminReply> {
  const items: unknown[] = [];
  let cursor: string | undefined;
  for (;;) {
    const given = Object.entries({ limit: String(PAGE), ...query, cursor }).filter((pair) => pair[1] !== undefined);
    const reply = await client.request('GET', `${path}?${new URLSearchParams(given as [string, string][])}`);
    if (!reply.ok) return reply;
    items.push(...listOf(fieldOf(reply.body, list)));
    const next = fieldOf(reply.body, 'next_cursor');
    if (typeof next !== 'string') return { ok: true, body: withoutCursor(reply.body, { [list]: items }) };
    cursor = next;
  }
}

function withoutCursor(body: unknown, all: object): unknown {
  const { next_cursor: _, ...rest } = body as Record<string, unknown>;
  return { ...rest, ...all };
}
