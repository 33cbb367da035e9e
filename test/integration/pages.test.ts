import { describe, expect, test } from 'bun:test';
import type { TestGateway } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { gateway } = runningParts();

async function admin(on: TestGateway, method: string, path: string, body?: unknown, headers = {}) {
  const reply = await fetch(`${on.url}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${on.adminKey}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, etag: reply.headers.get('etag') ?? '', body: await reply.json() };
}

/** What makes three of each, and what tells them apart. */
const LISTS: readonly {
  list: string;
  field: string;
  make(on: TestGateway, name: string): Promise<{ status: number }>;
}[] = [
  { list: 'keys', field: 'name', make: (on, name) => admin(on, 'POST', 'keys', { name }) },
  { list: 'projects', field: 'id', make: (on, id) => admin(on, 'POST', 'projects', { id }) },
  { list: 'organisations', field: 'id', make: (on, id) => admin(on, 'POST', 'organisations', { id }) },
  {
    list: 'users',
    field: 'name',
    make: (on, name) => admin(on, 'POST', 'users', { name, password: 'correct horse battery', grants: [] }),
  },
  { list: 'tokens', field: 'name', make: (on, name) => admin(on, 'POST', 'tokens', { name, grants: [] }) },
  {
    list: 'limits',
    field: 'name',
    make: (on, name) => admin(on, 'POST', 'limits', { scope: 'model', name, rpm: 9 }),
  },
  {
    list: 'budgets',
    field: 'name',
    make: (on, name) => admin(on, 'POST', 'budgets', { scope: 'model', name, limit_usd: 1, window: 'day' }),
  },
  {
    list: 'prices',
    field: 'model',
    make: (on, model) => admin(on, 'POST', 'prices', { model, input_usd_per_mtok: 1, output_usd_per_mtok: 1 }),
  },
  {
    list: 'providers',
    field: 'name',
    make: (on, name) => admin(on, 'POST', 'providers', { name, kind: 'vllm', url: 'http://127.0.0.1:9' }),
  },
  { list: 'aliases', field: 'name', make: (on, name) => admin(on, 'PUT', `aliases/${name}`, { target: 'x' }) },
  { list: 'routes', field: 'name', make: (on, name) => admin(on, 'PUT', `routes/${name}`, {}) },
];

describe('every list of the admin API', () => {
  for (const { list, field, make } of LISTS) {
    test(`${list}: comes in pages, each entry once, and refuses a wrong page`, async () => {
      const on = await gateway([]);
      for (const name of ['one', 'two', 'three']) expect([200, 201]).toContain((await make(on, name)).status);
      const whole = await admin(on, 'GET', list);
      expect(whole.body.next_cursor).toBeNull();
      const all = whole.body[list].map((item: Record<string, unknown>) => item[field]);
      expect(all).toEqual(expect.arrayContaining(['one', 'two', 'three']));
      const seen: unknown[] = [];
      let cursor: string | null = null;
      do {
        const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const { body } = await admin(on, 'GET', `${list}?limit=2${next}`);
        expect(body[list].length).toBeLessThanOrEqual(2);
        seen.push(...body[list].map((item: Record<string, unknown>) => item[field]));
        cursor = body.next_cursor;
      } while (cursor !== null);
      expect(seen).toEqual(all);
      for (const query of ['limit=0', 'limit=1001', 'page=2']) {
        const wrong = await admin(on, 'GET', `${list}?${query}`);
        expect([query, wrong.status, wrong.body.error.code]).toEqual([query, 400, 'invalid_query']);
      }
    });
  }
});

describe('a write with If-Match', () => {
  test('to a price or a token is refused when somebody else was quicker', async () => {
    const on = await gateway([]);
    const price = { model: 'm', input_usd_per_mtok: 1, output_usd_per_mtok: 1 };
    const first = await admin(on, 'POST', 'prices', price, { 'if-match': '"0"' });
    expect([first.status, first.etag, first.body.price.revision]).toEqual([201, '"1"', 1]);
    expect((await admin(on, 'POST', 'prices', price, { 'if-match': '"1"' })).etag).toBe('"2"');
    for (const late of [
      await admin(on, 'POST', 'prices', price, { 'if-match': '"1"' }),
      await admin(on, 'DELETE', 'prices?model=m', undefined, { 'if-match': '"1"' }),
    ]) {
      expect([late.status, late.body.error.code]).toEqual([412, 'revision_conflict']);
    }
    expect((await admin(on, 'DELETE', 'prices?model=m', undefined, { 'if-match': '"2"' })).status).toBe(200);

    const token = await admin(on, 'POST', 'tokens', { name: 'ci', grants: [] });
    const path = `tokens/${token.body.id}`;
    expect((await admin(on, 'DELETE', path, undefined, { 'if-match': token.etag })).body).toMatchObject({
      revision: 2,
    });
    expect((await admin(on, 'DELETE', path, undefined, { 'if-match': token.etag })).status).toBe(412);
  });
});
