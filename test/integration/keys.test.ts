import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const bearer = (text: string) => ({ authorization: `Bearer ${text}` });
const ask = { model: 'qwen', messages: [{ role: 'user', content: 'hello there' }] };

async function started(change = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-keys-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  return { local, dataDir, on: await gateway([targetFor(local)], { dataDir, ...change }) };
}

async function admin(on: TestGateway, method: string, path: string, body?: unknown, headers = {}) {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { ...bearer(on.adminKey), 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, etag: response.headers.get('etag'), body: await response.json() };
}

const chat = async (on: TestGateway, text: string) => {
  const response = await on.chat(ask, { headers: bearer(text) });
  await response.text();
  return response.status;
};

describe('the first key', () => {
  test('closes the door to everybody else at once, and from then on what is used is on record', async () => {
    const { on } = await started();
    expect(await chat(on, 'anything')).toBe(200);
    const made = await admin(on, 'POST', '/admin/keys', { name: 'alice', project: 'web' });
    expect([made.status, made.body.state, made.body.project]).toEqual([201, 'live', 'web']);
    expect(await chat(on, 'anything')).toBe(401);
    expect(await chat(on, made.body.key)).toBe(200);
    const usage = await admin(on, 'GET', '/admin/usage?group_by=key,project');
    expect(usage.body.rows).toMatchObject([{ key: made.body.id, project: 'web', requests: 1 }]);
  });

  test('has a text that is nowhere but in the reply to its making', async () => {
    const { on, dataDir } = await started({ logLevel: 'debug', logRequests: true });
    const { key, id, prefix } = (await admin(on, 'POST', '/admin/keys', { name: 'alice' })).body;
    expect(prefix).toBe(`${key.slice(0, 13)}…${key.slice(-4)}`);
    await chat(on, key);
    const replies = await Promise.all(
      ['/admin/keys', `/admin/keys/${id}`, '/admin/audit', '/admin/decisions'].map((path) => admin(on, 'GET', path)),
    );
    expect(JSON.stringify(replies)).not.toContain(key.slice(13, -4));
    await on.gateway.stop(1_000);
    for (const file of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      expect((await readFile(join(file.parentPath, file.name), 'latin1')).includes(key.slice(13, -4))).toBe(false);
    }
  });
});

describe('a key', () => {
  test('carries all that was given, and each change of it counts for the next request', async () => {
    const { on } = await started();
    const given = {
      ...{ name: 'bob', owner: 'team b', allowed_models: ['qw*'], allowed_places: ['local'], allowed_routes: null },
      ...{ limits: { rpm: 100, tpm: null }, metadata: { cost_centre: '7' }, expires_at: '2100-01-01T00:00:00.000Z' },
      budget: { limit_usd: 0.1, window: 'month' },
    };
    const made = await admin(on, 'POST', '/admin/keys', given);
    const { budget: _, limits: __, ...plain } = given;
    expect(made.body).toMatchObject({
      ...plain,
      limits: { rpm: 100, tpm: null, concurrent: null },
      budgets: [{ limit_usd: 0.1, window: 'month', hard: true, spent_usd: 0 }],
      revision: 1,
    });
    const path = `/admin/keys/${made.body.id}`;
    expect(await chat(on, made.body.key)).toBe(200);
    const narrowed = await admin(on, 'PATCH', path, { allowed_models: ['other'], limits: { concurrent: 3 } });
    expect(narrowed.body).toMatchObject({ limits: { rpm: 100, concurrent: 3 }, owner: 'team b', revision: 2 });
    expect(await chat(on, made.body.key)).toBe(403);
    expect((await admin(on, 'PATCH', path, { allowed_models: null, budget: null })).body.budgets).toEqual([]);
    expect(await chat(on, made.body.key)).toBe(200);
  });

  test('keeps what its budget has spent when the limit changes, and shows it', async () => {
    const { on } = await started();
    const budget = { limit_tokens: 100_000, window: 'total' };
    const made = (await admin(on, 'POST', '/admin/keys', { name: 'carl', budget })).body;
    await chat(on, made.key);
    const path = `/admin/keys/${made.id}`;
    const spent = (await admin(on, 'GET', path)).body.budgets[0].spent_tokens;
    expect(spent).toBeGreaterThan(0);
    const after = (await admin(on, 'PATCH', path, { budget: { ...budget, limit_tokens: spent } })).body;
    expect(after.budgets).toMatchObject([{ limit_tokens: spent, spent_tokens: spent }]);
    expect(await chat(on, made.key)).toBe(429);
    await admin(on, 'PATCH', path, { budget: { ...budget, limit_tokens: spent, hard: false } });
    expect(await chat(on, made.key)).toBe(200);
  });

  test('has two texts while it is rotated, never three, and one when the grace is over', async () => {
    const { on } = await started();
    const made = (await admin(on, 'POST', '/admin/keys', { name: 'dora' })).body;
    const rotate = async (body?: unknown) => (await admin(on, 'POST', `/admin/keys/${made.id}/rotate`, body)).body;
    const second = await rotate();
    expect([await chat(on, made.key), await chat(on, second.key)]).toEqual([200, 200]);
    const third = await rotate({ grace_seconds: 60 });
    expect(await Promise.all([made, second, third].map(({ key }) => chat(on, key)))).toEqual([401, 200, 200]);
    expect(third.versions).toHaveLength(2);
    const last = await rotate({ grace_seconds: 0 });
    expect(await Promise.all([second, third, last].map(({ key }) => chat(on, key)))).toEqual([401, 401, 200]);
    expect((await rotate({ grace: 0 })).error.message).toContain('grace_seconds');
    expect(await chat(on, last.key)).toBe(200);
  });

  test('is revoked also while others change it', async () => {
    const { on } = await started();
    const made = (await admin(on, 'POST', '/admin/keys', { name: 'kim' })).body;
    const path = `/admin/keys/${made.id}`;
    const changes = ['one', 'two', 'three', 'four'].map((owner) => admin(on, 'PATCH', path, { owner }));
    const [revoked] = await Promise.all([admin(on, 'DELETE', path), ...changes]);
    expect(revoked.body.state).toBe('revoked');
    expect(await chat(on, made.key)).toBe(401);
  });

  test('opens nothing from the moment that it is revoked, also after a restart, and keeps its record', async () => {
    const { on, dataDir, local } = await started();
    const [eve, finn] = [
      (await admin(on, 'POST', '/admin/keys', { name: 'eve' })).body,
      (await admin(on, 'POST', '/admin/keys', { name: 'finn' })).body,
    ];
    expect((await admin(on, 'DELETE', `/admin/keys/${eve.id}`)).body.state).toBe('revoked');
    expect([await chat(on, eve.key), await chat(on, finn.key)]).toEqual([401, 200]);
    await on.gateway.stop(1_000);
    const again = await gateway([targetFor(local)], { dataDir });
    expect([await chat(again, eve.key), await chat(again, finn.key)]).toEqual([401, 200]);
    const { keys } = (await admin(again, 'GET', '/admin/keys?state=revoked')).body;
    expect(keys.map(({ name }: { name: string }) => name)).toEqual(['eve']);
    expect((await admin(again, 'POST', `/admin/keys/${eve.id}/rotate`)).status).toBe(400);
  });

  test('takes all of several changes at once that ask for no certain state of it, each in full', async () => {
    const { on } = await started();
    const { id } = (await admin(on, 'POST', '/admin/keys', { name: 'fay', limits: { rpm: 1 } })).body;
    const path = `/admin/keys/${id}`;
    const changes = [
      { owner: 'team a' },
      { limits: { tpm: 5_000 } },
      { limits: { concurrent: 3 } },
      { allowed_models: ['qwen'] },
      { allowed_places: ['local'] },
      { metadata: { cost_centre: '7' } },
    ];
    const replies = await Promise.all(changes.map((change) => admin(on, 'PATCH', path, change)));
    expect(replies.map(({ status }) => status)).toEqual(changes.map(() => 200));
    expect((await admin(on, 'GET', path)).body).toMatchObject({
      ...{ owner: 'team a', allowed_models: ['qwen'], allowed_places: ['local'], metadata: { cost_centre: '7' } },
      ...{ limits: { rpm: 1, tpm: 5_000, concurrent: 3 }, revision: 1 + changes.length },
    });
  });

  test('that somebody else changed meanwhile is not overwritten', async () => {
    const { on } = await started();
    const made = await admin(on, 'POST', '/admin/keys', { name: 'gina' });
    const path = `/admin/keys/${made.body.id}`;
    expect(made.etag).toBe('"1"');
    const mine = { 'if-match': made.etag ?? '' };
    expect((await admin(on, 'PATCH', path, { owner: 'one' }, mine)).status).toBe(200);
    const late = await admin(on, 'PATCH', path, { owner: 'two' }, mine);
    expect([late.status, late.body.error.code]).toEqual([412, 'revision_conflict']);
    expect(late.body.error.message).toContain('If-Match asks for revision 1, and revision 2 is in force.');
    expect((await admin(on, 'GET', path)).body.owner).toBe('one');
    expect((await admin(on, 'PATCH', path, { owner: 'two' }, { 'if-match': 'x' })).status).toBe(400);
  });

  test('each of many made at once is made, and pages list all of them', async () => {
    const { on } = await started();
    const names = Array.from({ length: 12 }, (_, at) => `key-${at}`);
    const made = await Promise.all(names.map((name) => admin(on, 'POST', '/admin/keys', { name })));
    expect(made.map(({ status }) => status)).toEqual(names.map(() => 201));
    const listed: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body } = await admin(on, 'GET', `/admin/keys?limit=5${cursor === '' ? '' : `&cursor=${cursor}`}`);
      listed.push(...body.keys.map(({ name }: { name: string }) => name));
      cursor = body.next_cursor;
    }
    expect(listed.sort()).toEqual([...names].sort());
  });
});

test('a name that nobody has tells a limited key of no model that it may not use', async () => {
  const { on } = await started();
  const { key } = (await admin(on, 'POST', '/admin/keys', { name: 'lea', allowed_models: ['zz*'] })).body;
  const reply = await on.chat({ ...ask, model: 'zz-nope' }, { headers: bearer(key) });
  const { message } = ((await reply.json()) as { error: { message: string } }).error;
  expect([reply.status, message]).toEqual([404, expect.stringContaining('GET /v1/models')]);
  expect(message).not.toContain('Available');
});

test('a name with invisible characters is refused', async () => {
  const { on } = await started();
  for (const name of ['a\u202eb', 'a\u2028b', 'a\u0000b']) {
    expect((await admin(on, 'POST', '/admin/keys', { name })).status).toBe(400);
  }
});

test('a body with mistakes changes nothing and names each of them', async () => {
  const { on } = await started();
  const wrong = await admin(on, 'POST', '/admin/keys', {
    ...{ projekt: 'web', allowed_places: ['moon'], limits: { rpm: -1, rps: 2 }, expires_at: 'tomorrow' },
    budget: [{ limit_usd: 1, limit_tokens: 2, window: 'year' }],
  });
  expect([wrong.status, wrong.body.error.code]).toEqual([400, 'invalid_key']);
  const { message } = wrong.body.error;
  for (const part of ['name is missing', '"project"', 'allowed_places', 'limits.rpm', 'rps', 'expires_at', 'window']) {
    expect(message).toContain(part);
  }
  expect((await admin(on, 'GET', '/admin/keys')).body.keys).toEqual([]);
  expect(await chat(on, 'anything')).toBe(200);
  expect((await admin(on, 'POST', '/admin/keys', '{')).body.error.code).toBe('invalid_json');
  expect((await admin(on, 'DELETE', '/admin/keys/nobody')).status).toBe(404);
  expect((await admin(on, 'GET', '/admin/keys?limit=x')).status).toBe(400);
});

test('who made, changed, rotated and revoked a key is on the audit log, without its text', async () => {
  const { on } = await started();
  const made = (await admin(on, 'POST', '/admin/keys', { name: 'hal' })).body;
  const path = `/admin/keys/${made.id}`;
  await admin(on, 'PATCH', path, { owner: 'x' });
  await admin(on, 'POST', `${path}/rotate`);
  await admin(on, 'DELETE', path);
  const { entries } = (await admin(on, 'GET', '/admin/audit')).body;
  expect(entries.map(({ action }: { action: string }) => action)).toEqual([
    'key.revoke',
    'key.rotate',
    'key.update',
    'key.create',
  ]);
  expect((await admin(on, 'GET', '/admin/audit/verify')).body.ok).toBe(true);
});

test('keys whose pepper is lost open nothing, and the log says what to do', async () => {
  const { on, dataDir, local } = await started();
  const { key } = (await admin(on, 'POST', '/admin/keys', { name: 'ida' })).body;
  await on.gateway.stop(1_000);
  await rm(join(dataDir, 'key-pepper'));
  const again = await gateway([targetFor(local)], { dataDir });
  expect(await chat(again, key)).toBe(401);
  await again.gateway.stop(1_000);
  expect(await readFile(join(dataDir, 'log.jsonl'), 'utf8')).toContain('Put it back from a backup');
});

test('while the store takes nothing no key is made, those that are known open, and it is said so', async () => {
  const { on, dataDir } = await started();
  const { key } = (await admin(on, 'POST', '/admin/keys', { name: 'jan' })).body;
  const other = new Database(join(dataDir, 'swarmrouter.db'));
  other.run('begin immediate');
  try {
    const refused = await admin(on, 'POST', '/admin/keys', { name: 'kim' });
    expect([refused.status, refused.body.error.code]).toEqual([503, 'store_unavailable']);
    expect(await chat(on, key)).toBe(200);
  } finally {
    other.run('rollback');
    other.close();
  }
  const { keys } = (await admin(on, 'GET', '/admin/keys')).body;
  expect(keys.map(({ name }: { name: string }) => name)).toEqual(['jan']);
}, 20_000);

test('a key is made, changed and revoked also when another process held the lock of the store for a moment', async () => {
  const { on, dataDir } = await started();
  const { id } = (await admin(on, 'POST', '/admin/keys', { name: 'jan' })).body;
  const path = `/admin/keys/${id}`;
  const deeds = [
    () => admin(on, 'POST', '/admin/keys', { name: 'kim' }),
    () => admin(on, 'PATCH', path, { owner: 'team a' }),
    () => admin(on, 'POST', '/admin/budgets', { scope: 'organisation', limit_usd: 1, window: 'day' }),
    () => admin(on, 'DELETE', path),
  ];
  const other = new Database(join(dataDir, 'swarmrouter.db'));
  const statuses: number[] = [];
  for (const deed of deeds) {
    other.run('begin immediate');
    const doing = deed();
    // Longer than one wait of SQLite's own.
    await Bun.sleep(400);
    other.run('rollback');
    statuses.push((await doing).status);
  }
  other.close();
  expect(statuses).toEqual([201, 200, 201, 200]);
}, 20_000);

test('whose a request was is in its line of the log', async () => {
  const { on, dataDir } = await started({ logLevel: 'info' });
  const { key, id } = (await admin(on, 'POST', '/admin/keys', { name: 'lea', project: 'web' })).body;
  await chat(on, key);
  await on.gateway.stop(1_000);
  const lines = (await readFile(join(dataDir, 'log.jsonl'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const served = lines.find(({ outcome }) => outcome === 'served');
  expect(served).toMatchObject({ key_id: id, organisation: 'default', project: 'web' });
});

test('a cursor that no page gave is refused', async () => {
  const { on } = await started();
  expect((await admin(on, 'GET', '/admin/keys?cursor=zzz')).status).toBe(400);
  const { id } = (await admin(on, 'POST', '/admin/keys', { name: 'x' })).body;
  const wrong = await admin(on, 'GET', '/admin/keys?cursor=zzz');
  expect([wrong.status, wrong.body.error.code, wrong.body.error.param]).toEqual([400, 'invalid_query', 'cursor']);
  expect((await admin(on, 'GET', `/admin/keys?cursor=${id}`)).body.keys).toEqual([]);
});

test('looking for keys makes no store', async () => {
  const { on, dataDir } = await started();
  expect((await admin(on, 'GET', '/admin/keys')).body.keys).toEqual([]);
  expect(await readdir(dataDir)).not.toContain('swarmrouter.db');
});
