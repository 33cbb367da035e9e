import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secret } from '../../src/core/secret.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const postgres = await startPostgres();
const folders: string[] = [];
afterAll(async () => {
  await postgres?.stop();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function admin(to: TestGateway, method: string, path: string, body?: unknown, headers = {}) {
  const reply = await fetch(`${to.url}/admin/${path}`, {
    method,
    headers: { authorization: `Bearer ${to.adminKey}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, etag: reply.headers.get('etag') ?? '', body: await reply.json() };
}

const dataFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmrouter-routing-'));
  folders.push(folder);
  return folder;
};

async function started(change: Parameters<typeof gateway>[1] = {}) {
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'small' }, { id: 'large' }], replyTokens: 3 });
  const dataDir = dataFolder();
  const base = { dataDir, modelAliases: new Map([['Fast', 'small']]), ...change };
  const start = () => gateway([targetFor(local)], base);
  /** The model that the server was asked for in the end. */
  const asked = async (on: TestGateway, model: string): Promise<string> => {
    const reply = await on.chat({ model, messages: [{ role: 'user', content: 'hi' }] });
    expect([reply.status, await reply.text()]).toEqual([200, expect.any(String)]);
    return (inference(local).at(-1) as unknown as { body: { model: string } }).body.model;
  };
  return { start, asked, local };
}

describe('an alias set at run time', () => {
  test('counts for the next request, over one of the settings until it is deleted, and over restarts', async () => {
    const { start, asked } = await started();
    const on = await start();
    expect(await asked(on, 'fast')).toBe('small');
    const set = await admin(on, 'PUT', 'aliases/fast', { target: 'large' });
    expect([set.status, set.etag]).toEqual([201, '"1"']);
    expect(set.body.alias).toMatchObject({ name: 'fast', target: 'large', source: 'admin', replaces: 'yaml' });
    expect([await asked(on, 'fast'), await asked(on, 'FAST')]).toEqual(['large', 'large']);
    await admin(on, 'PUT', `aliases/${encodeURIComponent('openai/gpt-4o')}`, { target: 'small' });
    expect(await asked(on, 'openai/gpt-4o')).toBe('small');
    const models = await (await fetch(`${on.url}/v1/models`)).json();
    expect(models.data.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(['fast', 'openai/gpt-4o']));
    await on.stop();

    const again = await start();
    expect([await asked(again, 'fast'), await asked(again, 'openai/gpt-4o')]).toEqual(['large', 'small']);
    const { body } = await admin(again, 'GET', 'aliases');
    expect(body).toMatchObject({
      aliases: [
        { name: 'fast', target: 'large', source: 'admin', revision: 1 },
        { name: 'openai/gpt-4o', target: 'small', replaces: null },
      ],
      next_cursor: null,
    });
    const removed = await admin(again, 'DELETE', 'aliases/fast');
    expect(removed.body).toMatchObject({
      removed: 'fast',
      now_in_force: { name: 'Fast', target: 'small', source: 'yaml' },
    });
    expect(await asked(again, 'fast')).toBe('small');
  });

  test('that is wrong is told with every problem, and changes nothing', async () => {
    const { start } = await started();
    const on = await start();
    for (const [name, body, ...words] of [
      ['x', { target: 5, to: 'y' }, '2 problems', 'target', 'there is no such field'],
      ['x', {}, 'target: it is missing'],
      ['x', { target: 'X' }, 'it stands for itself'],
      ['x', { target: 'a\u0000b' }, 'it is no name of a model'],
      ['x'.repeat(600), { target: 'y' }, 'it is no name of a model'],
      ['x', [], 'one JSON object'],
    ] as const) {
      const reply = await admin(on, 'PUT', `aliases/${encodeURIComponent(name)}`, body);
      expect([reply.status, reply.body.error.code]).toEqual([400, 'invalid_alias']);
      for (const word of words) expect(reply.body.error.message).toContain(word);
    }
    expect((await admin(on, 'GET', 'aliases')).body.aliases).toMatchObject([
      { name: 'Fast', source: 'yaml', revision: 0 },
    ]);
    const elsewhere = await admin(on, 'DELETE', 'aliases/fast');
    expect([elsewhere.status, elsewhere.body.error.code]).toEqual([409, 'alias_not_set_here']);
    expect((await admin(on, 'DELETE', 'aliases/nobody')).body.error.code).toBe('alias_not_found');
    const chained = await admin(on, 'PUT', 'aliases/quick', { target: 'fast' });
    expect(chained.body.warnings).toEqual([expect.stringContaining('An alias is replaced once')]);
  });

  test('is refused with 412 when somebody else was quicker', async () => {
    const { start } = await started();
    const on = await start();
    const read = await admin(on, 'GET', 'aliases/Fast');
    expect(read.etag).toBe('"0"');
    const as = { 'if-match': read.etag };
    expect((await admin(on, 'PUT', 'aliases/fast', { target: 'large' }, as)).status).toBe(201);
    for (const [method, body] of [
      ['PUT', { target: 'other' }],
      ['DELETE', undefined],
    ] as const) {
      const late = await admin(on, method, 'aliases/fast', body, as);
      expect([late.status, late.body.error.code]).toEqual([412, 'revision_conflict']);
    }
    expect((await admin(on, 'GET', 'aliases/fast')).body).toMatchObject({ target: 'large', revision: 1 });
  });
});

describe('a route set at run time', () => {
  const byRoute = (name: string) => ({ 'x-swarmrouter-route': name });
  const ask = (on: TestGateway, name: string) =>
    on.chat({ model: 'small', messages: [{ role: 'user', content: 'hi' }] }, { headers: byRoute(name) });

  test('may be named by the next request, over one of the file until it is deleted, and over restarts', async () => {
    const file = { name: 'sturdy', strategy: 'local-first', streamRecovery: true, maxFirstTokenMs: null };
    const routes = new Map([
      ['local-first', { ...file, name: 'local-first', streamRecovery: false }],
      ['sturdy', file],
    ]);
    const { start } = await started({ routes, strategy: 'local-first' });
    const on = await start();
    expect((await ask(on, 'quick')).status).toBe(400);
    const set = await admin(on, 'PUT', 'routes/quick', { strategy: 'fastest', max_first_token_ms: 500 });
    expect([set.status, set.etag]).toEqual([201, '"1"']);
    expect(set.body).toMatchObject({
      ...{ name: 'quick', strategy: 'fastest', stream_recovery: 'off', max_first_token_ms: 500, source: 'admin' },
      set: { strategy: 'fastest', stream_recovery: null, max_first_token_ms: 500 },
    });
    expect((await ask(on, 'quick')).status).toBe(200);
    await admin(on, 'PUT', 'routes/sturdy', { stream_recovery: 'off' });
    await on.stop();

    const again = await start();
    expect((await ask(again, 'quick')).status).toBe(200);
    const { body } = await admin(again, 'GET', 'routes');
    expect(
      body.routes.map((route: Record<string, unknown>) => [route['name'], route['source'], route['replaces']]),
    ).toEqual([
      ['local-first', 'built in', null],
      ['quick', 'admin', null],
      ['sturdy', 'admin', 'yaml'],
    ]);
    const removed = await admin(again, 'DELETE', 'routes/sturdy');
    expect(removed.body.now_in_force).toMatchObject({ name: 'sturdy', source: 'yaml', stream_recovery: 'continue' });
    expect((await admin(again, 'DELETE', 'routes/quick', undefined, { 'if-match': '"7"' })).status).toBe(412);
    expect((await admin(again, 'DELETE', 'routes/quick')).body.now_in_force).toBeNull();
    expect((await ask(again, 'quick')).status).toBe(400);
    const key = await admin(again, 'POST', 'keys', { name: 'x', allowed_routes: ['quick'] });
    expect(key.body.error.message).toContain('sturdy');
  });

  test('that is wrong is told with every problem, and changes nothing', async () => {
    const { start } = await started();
    const on = await start();
    const before = (await admin(on, 'GET', 'routes')).body;
    for (const [name, body, ...words] of [
      [
        'Quick!',
        { strategy: 'slowest', stream_recovery: 'yes', max_first_token_ms: '9', extra: 1 },
        '5 problems',
        'name is "Quick!"',
        'there is no such strategy',
        'stream_recovery',
        'max_first_token_ms is "9": it is of the wrong type',
        'extra',
      ],
      ['fastest', {}, 'a strategy has this name already'],
      ['default', {}, 'requests that name no route'],
      ['x', { max_first_token_ms: 0 }, 'it is below 1'],
      ['x', 'y', 'one JSON object'],
    ] as const) {
      const reply = await admin(on, 'PUT', `routes/${encodeURIComponent(name)}`, body);
      expect([name, reply.status, reply.body.error.code]).toEqual([name, 400, 'invalid_route']);
      for (const word of words) expect(reply.body.error.message).toContain(word);
    }
    expect((await admin(on, 'GET', 'routes')).body).toEqual(before);
    expect((await admin(on, 'DELETE', 'routes/fastest')).body.error.code).toBe('route_not_set_here');
    expect((await admin(on, 'DELETE', 'routes/nobody')).body.error.code).toBe('route_not_found');
  });
});

test('changes of aliases and routes are on the audit log, with what was in force before and is after', async () => {
  const { start } = await started();
  const on = await start();
  await admin(on, 'PUT', 'aliases/fast', { target: 'large' });
  await admin(on, 'DELETE', 'aliases/fast');
  await admin(on, 'PUT', 'routes/quick', { strategy: 'fastest' });
  await admin(on, 'DELETE', 'routes/quick');
  const { entries } = (await admin(on, 'GET', 'audit')).body;
  const route = { name: 'quick', strategy: 'fastest' };
  expect(entries).toMatchObject([
    { action: 'route.remove', subject: 'route:quick', before: route, after: null },
    { action: 'route.set', before: null, after: route },
    { action: 'alias.remove', before: { target: 'large' }, after: { target: 'small' } },
    { action: 'alias.set', subject: 'alias:fast', before: { target: 'small' }, after: { target: 'large' } },
  ]);
  expect((await admin(on, 'GET', 'audit/verify')).body.ok).toBe(true);
});

describe.skipIf(postgres === null)('on one PostgreSQL', () => {
  /** What is promised is two seconds; the machine may be busy. */
  const SOON_MS = 8_000;

  test('an alias, a route and a price that one gateway sets or deletes count at the other', async () => {
    const databaseUrl = new Secret((await postgres?.database()) ?? '');
    const { local } = await started();
    const parts = () => gateway([targetFor(local)], { dataDir: dataFolder(), databaseUrl, usage: true });
    const [one, other] = [await parts(), await parts()];
    const priceAt = async (on: TestGateway) =>
      (await admin(on, 'GET', 'prices')).body.prices[0]?.input_usd_per_mtok ?? null;
    expect(await priceAt(other)).toBeNull();
    await admin(one, 'PUT', 'aliases/fast', { target: 'large' });
    await admin(one, 'PUT', 'routes/quick', { strategy: 'fastest' });
    const price = { model: 'small', input_usd_per_mtok: 2, output_usd_per_mtok: 4 };
    await admin(one, 'POST', 'prices', price);
    const found = async (path: string) => (await admin(other, 'GET', path)).status;
    await until('the alias is there', async () => (await found('aliases/fast')) === 200, SOON_MS);
    await until('the route is there', async () => (await found('routes/quick')) === 200, SOON_MS);
    await until('the price counts', async () => (await priceAt(other)) === 2, SOON_MS);

    // Each sees what the other changed, so nothing is overwritten unseen.
    expect((await admin(other, 'PUT', 'aliases/fast', { target: 'small' })).body.alias.revision).toBe(2);
    expect((await admin(one, 'PUT', 'aliases/fast', { target: 'x' }, { 'if-match': '"1"' })).status).toBe(412);
    expect((await admin(other, 'POST', 'prices', { ...price, input_usd_per_mtok: 3 })).status).toBe(200);
    expect((await admin(one, 'POST', 'prices', price, { 'if-match': '"1"' })).status).toBe(412);

    await admin(other, 'DELETE', 'prices?model=small');
    await admin(other, 'DELETE', 'aliases/fast');
    await admin(other, 'DELETE', 'routes/quick');
    const gone = async (path: string) => (await admin(one, 'GET', path)).status === 404;
    await until('the alias is gone', () => gone('aliases/fast'), SOON_MS);
    await until('the route is gone', () => gone('routes/quick'), SOON_MS);
    await until('the price is gone', async () => (await priceAt(one)) === null, SOON_MS);
  }, 60_000);
});
