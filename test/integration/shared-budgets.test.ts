import { afterAll, expect, test } from 'bun:test';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const ask = { model: 'qwen', messages: [{ role: 'user', content: 'hello there' }] };
const roomy = { limit_tokens: 100_000, window: 'month' };

async function started() {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-budgets-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }, { id: 'phi' }], replyTokens: 12 });
  return { local, dataDir, on: await gateway([targetFor(local)], { dataDir }) };
}

async function admin(on: TestGateway, method: string, path: string, body?: unknown, headers = {}) {
  const response = await fetch(`${on.url}/admin/${path}`, {
    method,
    headers: { ...bearer(on.adminKey), 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, etag: response.headers.get('etag'), body: await response.json() };
}

async function chat(on: TestGateway, text: string | null, model = 'qwen'): Promise<[number, string | null]> {
  const response = await on.chat({ ...ask, model }, text === null ? {} : { headers: bearer(text) });
  const body = await response.json();
  return [response.status, body.error?.code ?? null];
}

const REFUSED: [number, string] = [429, 'insufficient_quota'];
const SERVED: [number, null] = [200, null];

test('a budget of a project limits its keys together, from the next call on, and shows what it has spent', async () => {
  const { on } = await started();
  const [ann, ben, eve] = await Promise.all(
    [
      { name: 'ann', project: 'web' },
      { name: 'ben', project: 'web' },
      { name: 'eve', project: 'ops' },
    ].map(async (body) => (await admin(on, 'POST', 'keys', body)).body.key),
  );
  const made = await admin(on, 'POST', 'budgets', { scope: 'project', name: 'web', ...roomy });
  expect(made).toMatchObject({
    status: 201,
    etag: '"1"',
    body: { scope: 'project', name: 'web', limit_tokens: 100_000, hard: true, spent_tokens: 0, warnings: [] },
  });
  const path = `budgets/${made.body.id}`;
  expect(await chat(on, ann)).toEqual(SERVED);
  const spent = (await admin(on, 'GET', path)).body.spent_tokens;
  expect(spent).toBeGreaterThan(0);
  expect((await admin(on, 'PATCH', path, { limit_tokens: spent })).body).toMatchObject({
    limit_tokens: spent,
    spent_tokens: spent,
    revision: 2,
  });
  expect([await chat(on, ann), await chat(on, ben), await chat(on, eve)]).toEqual([REFUSED, REFUSED, SERVED]);
  expect((await admin(on, 'PATCH', path, { hard: false })).body.hard).toBe(false);
  expect(await chat(on, ben)).toEqual(SERVED);
  await admin(on, 'PATCH', path, { hard: true });
  expect(await chat(on, ben)).toEqual(REFUSED);
  expect((await admin(on, 'DELETE', path)).status).toBe(200);
  expect([await chat(on, ben), (await admin(on, 'GET', path)).status]).toEqual([SERVED, 404]);
});

test('what a soft budget has spent is shown at once, of a key and of a project', async () => {
  const { on } = await started();
  const soft = { limit_tokens: 100_000, window: 'day', hard: false };
  const key = (await admin(on, 'POST', 'keys', { name: 'ann', project: 'web', budget: soft })).body;
  const { id } = (await admin(on, 'POST', 'budgets', { scope: 'project', name: 'web', ...soft })).body;
  expect(await chat(on, key.key)).toEqual(SERVED);
  const ofKey = (await admin(on, 'GET', `keys/${key.id}`)).body.budgets[0].spent_tokens;
  expect(ofKey).toBeGreaterThan(0);
  expect((await admin(on, 'GET', `budgets/${id}`)).body.spent_tokens).toBe(ofKey);
  expect(await chat(on, key.key)).toEqual(SERVED);
  expect((await admin(on, 'GET', 'budgets')).body.budgets[0].spent_tokens).toBe(2 * ofKey);
  expect((await admin(on, 'GET', 'keys')).body.keys[0].budgets[0].spent_tokens).toBe(2 * ofKey);
});

test('a budget of the organisation or of a model needs no key, and is kept over a restart', async () => {
  const { on, dataDir, local } = await started();
  const whole = await admin(on, 'POST', 'budgets', { scope: 'organisation', ...roomy });
  expect(whole.body.name).toBe('default');
  expect(
    (await admin(on, 'POST', 'budgets', { scope: 'model', name: 'phi', limit_tokens: 0, window: 'total' })).status,
  ).toBe(201);
  expect([await chat(on, null), await chat(on, null, 'phi')]).toEqual([SERVED, REFUSED]);
  await on.gateway.stop(1_000);
  const again = await gateway([targetFor(local)], { dataDir });
  expect([await chat(again, null), await chat(again, null, 'phi')]).toEqual([SERVED, REFUSED]);
  const listed = (await admin(again, 'GET', 'budgets')).body.budgets;
  expect(listed.map(({ scope }: { scope: string }) => scope)).toEqual(['organisation', 'model']);
  expect(listed[0].spent_tokens).toBeGreaterThan(0);
  const of = async (query: string) => (await admin(again, 'GET', `budgets?${query}`)).body.budgets.length;
  expect([await of('scope=model'), await of('scope=project'), await of('name=phi')]).toEqual([1, 0, 1]);
});

test('one that is there already, a project that is not, and a body with mistakes change nothing and say why', async () => {
  const { on } = await started();
  await admin(on, 'POST', 'keys', { name: 'ann', project: 'web' });
  const made = await admin(on, 'POST', 'budgets', { scope: 'project', name: 'web', ...roomy });
  const twice = await admin(on, 'POST', 'budgets', { scope: 'project', name: 'web', limit_tokens: 5, window: 'month' });
  expect([twice.status, twice.body.error.code]).toEqual([409, 'budget_exists']);
  expect(twice.body.error.message).toContain(made.body.id);
  const typo = await admin(on, 'POST', 'budgets', { scope: 'project', name: 'wbe', ...roomy });
  expect([typo.status, typo.body.error.param, typo.body.error.message]).toEqual([
    400,
    'name',
    expect.stringContaining('Did you mean "web"?'),
  ]);
  const wrong = await admin(on, 'POST', 'budgets', {
    ...{ scope: 'key', limt_usd: 1, limit_usd: -1, limit_tokens: 1.5, window: 'year', hard: 'yes' },
  });
  expect([wrong.status, wrong.body.error.code]).toEqual([400, 'invalid_budget']);
  for (const part of ['scope', '"limit_usd"', 'window', 'hard', 'PATCH /admin/keys']) {
    expect(wrong.body.error.message).toContain(part);
  }
  const path = `budgets/${made.body.id}`;
  const moved = await admin(on, 'PATCH', path, { window: 'day', limit_usd: 1, hrad: true });
  expect([moved.status, moved.body.error.message]).toEqual([400, expect.stringContaining('make another')]);
  expect(moved.body.error.message).toContain('"hard"');
  expect((await admin(on, 'PATCH', path, {})).status).toBe(400);
  expect((await admin(on, 'GET', path)).body).toMatchObject({ limit_tokens: 100_000, revision: 1 });
  expect((await admin(on, 'PATCH', 'budgets/nobody', { hard: true })).status).toBe(404);
  expect((await admin(on, 'GET', 'budgets?scpoe=model')).status).toBe(400);
});

test('that somebody else changed meanwhile is neither overwritten nor removed', async () => {
  const { on } = await started();
  const made = await admin(on, 'POST', 'budgets', { scope: 'organisation', limit_usd: 0.1, window: 'week' });
  const path = `budgets/${made.body.id}`;
  const mine = { 'if-match': made.etag ?? '' };
  // As written, to the last digit.
  expect((await admin(on, 'PATCH', path, { limit_usd: '0.300000001' }, mine)).body.limit_usd).toBe(0.300000001);
  const late = [
    await admin(on, 'PATCH', path, { limit_usd: 1 }, mine),
    await admin(on, 'DELETE', path, undefined, mine),
  ];
  expect(late.map(({ status, body }) => [status, body.error.code])).toEqual([
    [412, 'revision_conflict'],
    [412, 'revision_conflict'],
  ]);
  expect((await admin(on, 'GET', path)).body.limit_usd).toBe(0.300000001);
});

test('a model that nobody has under that name is pointed out', async () => {
  const { on } = await started();
  const none = await admin(on, 'POST', 'budgets', { scope: 'model', name: 'nothing', limit_usd: 1, window: 'day' });
  expect(none.body.warnings).toEqual([expect.stringContaining('No target has the model "nothing"')]);
  const spelled = await admin(on, 'POST', 'budgets', { scope: 'model', name: 'QWEN', limit_usd: 1, window: 'day' });
  expect(spelled.body.warnings).toEqual([expect.stringContaining('they call it qwen')]);
});

test('who set, changed and removed a budget is on the audit log', async () => {
  const { on } = await started();
  const { id } = (await admin(on, 'POST', 'budgets', { scope: 'organisation', limit_usd: 5, window: 'day' })).body;
  await admin(on, 'PATCH', `budgets/${id}`, { limit_usd: 6 });
  await admin(on, 'DELETE', `budgets/${id}`);
  const { entries } = (await admin(on, 'GET', `audit?subject=budget:${id}`)).body;
  expect(entries.map((entry: { action: string; before: unknown; after: unknown }) => entry)).toMatchObject([
    { action: 'budget.remove', before: { limit: 6e9 }, after: null },
    { action: 'budget.update', before: { limit: 5e9 }, after: { limit: 6e9 } },
    { action: 'budget.create', before: null, after: { scope: 'organisation', limit: 5e9, hard: true } },
  ]);
});

test('looking for budgets makes no store', async () => {
  const { on, dataDir } = await started();
  expect((await admin(on, 'GET', 'budgets')).body).toEqual({ budgets: [], next_cursor: null });
  expect((await admin(on, 'DELETE', 'budgets/nobody')).status).toBe(404);
  expect(await readdir(dataDir)).not.toContain('swarmrouter.db');
});
