import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

const PASSWORD = 'correct horse battery';
// Each password that is checked takes what it is made to take.
setDefaultTimeout(30_000);
const bearer = (text: string) => ({ authorization: `Bearer ${text}` });

async function started(change = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-roles-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 12 });
  return { dataDir, on: await gateway([targetFor(local)], { dataDir, ...change }) };
}

async function call(
  on: TestGateway,
  method: string,
  path: string,
  { as, body, headers = {} }: { as?: object; body?: unknown; headers?: Record<string, string> } = {},
) {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { ...(as ?? bearer(on.adminKey)), 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
}

async function tokenFor(on: TestGateway, role: string, project: string | null = null, organisation?: string) {
  const headers: Record<string, string> =
    organisation === undefined ? {} : { 'x-swarmrouter-organisation': organisation };
  const body = { name: `${role} bot`, grants: [{ role, project }] };
  const made = await call(on, 'POST', '/admin/tokens', { body, headers });
  expect(`${made.status} ${made.status === 201 ? '' : made.text}`).toBe('201 ');
  return { as: bearer(made.body.token), id: made.body.id as string, text: made.body.token as string };
}

async function login(on: TestGateway, name: string, password = PASSWORD, headers = {}) {
  const reply = await call(on, 'POST', '/admin/login', { as: {}, body: { name, password }, headers });
  const cookie = reply.headers.get('set-cookie')?.split(';')[0] ?? '';
  return { status: reply.status, told: reply.body, sent: reply.headers, as: { cookie } };
}

/** Refusals go on record while nobody waits for them. */
async function eventually<Value>(ask: () => Promise<Value>, isThere: (value: Value) => boolean): Promise<Value> {
  for (let tries = 0; ; tries++) {
    const value = await ask();
    if (isThere(value) || tries > 100) return value;
    await Bun.sleep(20);
  }
}

const keyFor = (on: TestGateway, body: object, options = {}) => call(on, 'POST', '/admin/keys', { body, ...options });

describe('a service token', () => {
  test('may do what its role may, and is told which permission it lacks', async () => {
    const { on } = await started();
    const auditor = await tokenFor(on, 'auditor');
    expect((await call(on, 'GET', '/admin/keys', auditor)).status).toBe(200);
    const refused = await keyFor(on, { name: 'x' }, auditor);
    expect([refused.status, refused.body.error.code, refused.body.error.param]).toEqual([
      403,
      'permission_denied',
      'key:write',
    ]);
    expect(refused.body.error.message).toContain('owner, admin');
    const log = await eventually(
      () => call(on, 'GET', '/admin/audit?action=permission.refuse'),
      ({ body }) => body.entries.length > 0,
    );
    expect(log.body.entries).toMatchObject([{ actor: { kind: 'token', id: auditor.id }, outcome: 'refused' }]);
  });

  test('opens nothing once it is revoked or has expired, and never the data plane', async () => {
    const { on } = await started();
    await keyFor(on, { name: 'alice' });
    const admin = await tokenFor(on, 'admin');
    const chat = await on.chat({ model: 'qwen', messages: [] }, { headers: admin.as });
    expect(chat.status).toBe(401);
    expect((await call(on, 'DELETE', `/admin/tokens/${admin.id}`)).body.state).toBe('revoked');
    expect((await call(on, 'GET', '/admin/status', admin)).status).toBe(401);
    const body = { name: 'old', grants: [{ role: 'admin' }], expires_at: new Date(Date.now() + 60).toISOString() };
    const short = await call(on, 'POST', '/admin/tokens', { body });
    await Bun.sleep(80);
    expect((await call(on, 'GET', '/admin/status', { as: bearer(short.body.token) })).status).toBe(401);
  });

  test('of a client key is none: a client key opens nothing of the admin API', async () => {
    const { on } = await started();
    const { body } = await keyFor(on, { name: 'alice' });
    expect((await call(on, 'GET', '/admin/keys', { as: bearer(body.key) })).status).toBe(401);
  });

  test('has a text that is nowhere but in the reply to its making', async () => {
    const { on, dataDir } = await started({ logLevel: 'debug' });
    const { text } = await tokenFor(on, 'member');
    const shown = await call(on, 'GET', '/admin/tokens');
    const log = await call(on, 'GET', '/admin/audit');
    expect(shown.text + log.text).not.toContain(text.slice(14, -4));
    await on.gateway.stop(1_000);
    for (const file of await readdir(dataDir, { recursive: true, withFileTypes: true })) {
      if (!file.isFile()) continue;
      expect((await readFile(join(file.parentPath, file.name))).includes(text.slice(14, -4))).toBe(false);
    }
  });
});

describe('L-06 S-17 a person', () => {
  test('logs in with a password, may what their roles say, and logs out', async () => {
    const { on } = await started();
    const body = { name: 'Alice', password: PASSWORD, grants: [{ role: 'member', project: 'default' }] };
    const made = await call(on, 'POST', '/admin/users', { body });
    expect([made.status, made.body.grants]).toEqual([201, [{ role: 'member', project: 'default' }]]);
    const alice = await login(on, 'alice');
    expect(alice.status).toBe(200);
    const cookie = alice.sent.get('set-cookie') ?? '';
    for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/', 'Max-Age=6047']) expect(cookie).toContain(part);
    const who = await call(on, 'GET', '/admin/session', alice);
    expect(who.body).toMatchObject({ kind: 'user', name: 'Alice', organisation: 'default' });
    expect(who.body.permissions).not.toContain('key:write');
    expect((await call(on, 'GET', '/admin/keys', alice)).status).toBe(200);
    expect((await keyFor(on, { name: 'x' }, alice)).status).toBe(403);
    expect((await call(on, 'DELETE', '/admin/session', alice)).body).toEqual({ logged_out: true });
    expect((await call(on, 'GET', '/admin/session', alice)).status).toBe(401);
    const log = await eventually(
      () => call(on, 'GET', '/admin/audit'),
      ({ body: { entries } }) => entries.length > 3,
    );
    const deeds = log.body.entries.map(
      ({ action, actor }: { action: string; actor: { kind: string } }) => `${actor.kind} ${action}`,
    );
    expect(deeds).toEqual(
      ['user session.logout', 'user permission.refuse', 'user session.login', 'admin user.create'].map((deed) =>
        expect.stringContaining(deed),
      ),
    );
    expect(log.text).not.toContain(PASSWORD);
  });

  test('with a wrong password, or none that there is, is told the same, and after ten tries to wait', async () => {
    const { on } = await started();
    await call(on, 'POST', '/admin/users', {
      body: { name: 'bob', password: PASSWORD, grants: [{ role: 'owner' }] },
    });
    const [wrong, nobody] = [await login(on, 'bob', 'wrong password'), await login(on, 'nobody', 'wrong password')];
    expect([wrong.status, wrong.told.error.message]).toEqual([401, nobody.told.error.message]);
    for (let tries = 1; tries < 10; tries++) await login(on, 'bob', 'wrong password');
    const late = await login(on, 'bob');
    expect([late.status, late.told.error.code]).toEqual([429, 'too_many_failed_logins']);
    expect(Number(late.sent.get('retry-after'))).toBeGreaterThan(0);
  }, 30_000);

  test('loses every session when they are disabled or get another role or password', async () => {
    const { on } = await started();
    const body = { name: 'carol', password: PASSWORD, grants: [{ role: 'operator' }] };
    const { id } = (await call(on, 'POST', '/admin/users', { body })).body;
    const next = 'another long password';
    for (const change of [{ grants: [{ role: 'auditor' }] }, { password: next }, { disabled: true }]) {
      const carol = await login(on, 'carol', 'disabled' in change ? next : PASSWORD);
      expect((await call(on, 'GET', '/admin/session', carol)).status).toBe(200);
      expect((await call(on, 'PATCH', `/admin/users/${id}`, { body: change })).status).toBe(200);
      expect((await call(on, 'GET', '/admin/session', carol)).status).toBe(401);
    }
    expect((await login(on, 'carol', next)).status).toBe(401);
  }, 30_000);

  test('cannot be made to ask for anything by a page of another site', async () => {
    const { on } = await started();
    await call(on, 'POST', '/admin/users', { body: { name: 'dora', password: PASSWORD, grants: [{ role: 'owner' }] } });
    const dora = await login(on, 'dora');
    const foreign = { 'sec-fetch-site': 'cross-site' };
    const forged = await keyFor(on, { name: 'x' }, { ...dora, headers: foreign });
    expect([forged.status, forged.body.error.code]).toEqual([403, 'cross_site_request']);
    expect((await login(on, 'dora', PASSWORD, foreign)).status).toBe(403);
    expect((await keyFor(on, { name: 'x' }, { ...dora, headers: { 'sec-fetch-site': 'same-origin' } })).status).toBe(
      201,
    );
  });

  test('changes their own password, which ends their other sessions and no other way does', async () => {
    const { on } = await started();
    await call(on, 'POST', '/admin/users', {
      body: { name: 'gil', password: PASSWORD, grants: [{ role: 'member' }] },
    });
    const [here, elsewhere] = [await login(on, 'gil'), await login(on, 'gil')];
    const next = 'another long password';
    const change = (body: object, as: object = here.as) => call(on, 'POST', '/admin/session/password', { as, body });
    const body = { current_password: PASSWORD, new_password: next };
    const wrong = await change({ ...body, current_password: 'wrong password' });
    expect([wrong.status, wrong.body.error.code]).toEqual([403, 'wrong_password']);
    const bad = await change({ current_password: PASSWORD, new_password: 'short', extra: 1 });
    expect([bad.status, bad.body.error.code, bad.text.includes('short')]).toEqual([400, 'invalid_password', false]);
    expect((await change({ current_password: PASSWORD, new_password: PASSWORD })).status).toBe(400);
    const { as: machine } = await tokenFor(on, 'owner');
    for (const as of [bearer(on.adminKey), machine, { ...here.as, ...machine }]) {
      const { status, body: told } = await change(body, as);
      expect([status, told.error.code]).toEqual([403, 'no_password']);
    }
    expect((await change(body, {})).status).toBe(401);
    const foreign = { as: here.as, body, headers: { 'sec-fetch-site': 'cross-site' } };
    expect((await call(on, 'POST', '/admin/session/password', foreign)).status).toBe(403);
    expect((await change(body)).body).toEqual({ changed: true });
    expect((await call(on, 'GET', '/admin/session', here)).body.login_method).toBe('password');
    expect((await call(on, 'GET', '/admin/session', elsewhere)).status).toBe(401);
    expect([(await login(on, 'gil')).status, (await login(on, 'gil', next)).status]).toEqual([401, 200]);
    const log = await eventually(
      () => call(on, 'GET', '/admin/audit?action=user.update'),
      ({ body: { entries } }) => entries.length >= 5,
    );
    const deeds = log.body.entries.map(
      (entry: { outcome: string; actor: { kind: string }; after: { reason?: string } }) =>
        [entry.outcome, entry.actor.kind, entry.after.reason ?? ''].join(' '),
    );
    expect(deeds.toSorted()).toEqual([
      'allowed user ',
      'refused admin no_password',
      'refused token no_password',
      'refused token no_password',
      'refused user wrong_password',
    ]);
    for (const password of [PASSWORD, next]) expect(log.text).not.toContain(password);
  });

  test('may not give away more than they have, nor touch whoever has more', async () => {
    const { on } = await started();
    const owner = { name: 'owner', password: PASSWORD, grants: [{ role: 'owner' }] };
    const { id } = (await call(on, 'POST', '/admin/users', { body: owner })).body;
    const admin = await tokenFor(on, 'admin');
    const attempts = [
      await call(on, 'POST', '/admin/users', { ...admin, body: { ...owner, name: 'second' } }),
      await call(on, 'POST', '/admin/tokens', { ...admin, body: { name: 'x', grants: [{ role: 'owner' }] } }),
      await call(on, 'PATCH', `/admin/users/${id}`, { ...admin, body: { password: 'mine now, thank you' } }),
      await call(on, 'PATCH', `/admin/users/${id}`, { ...admin, body: { disabled: true } }),
      await call(on, 'DELETE', `/admin/tokens/${(await tokenFor(on, 'owner')).id}`, admin),
    ];
    for (const { status, body } of attempts) expect([status, body.error.code]).toEqual([403, 'permission_denied']);
    expect((await login(on, 'owner')).status).toBe(200);
  });

  test('of a name that is taken, or with a body that is wrong, is not made, and every problem is told at once', async () => {
    const { on } = await started();
    const body = { name: 'eve', password: PASSWORD, grants: [] };
    expect((await call(on, 'POST', '/admin/users', { body })).status).toBe(201);
    expect((await call(on, 'POST', '/admin/users', { body: { ...body, name: 'EVE' } })).body.error.code).toBe(
      'name_taken',
    );
    const wrong = await call(on, 'POST', '/admin/users', {
      body: { name: 'a b', password: 'short', grants: [{ role: 'boss' }], extra: 1 },
    });
    expect(wrong.status).toBe(400);
    for (const word of ['4 problems', 'name is', 'password is (not shown)', 'grants.0.role', 'extra']) {
      expect(wrong.body.error.message).toContain(word);
    }
    expect(wrong.text).not.toContain('short');
    const lost = await call(on, 'POST', '/admin/users', {
      body: { ...body, name: 'fay', grants: [{ role: 'member', project: 'defualt' }] },
    });
    expect([lost.body.error.code, lost.body.error.message]).toEqual([
      'project_not_found',
      expect.stringContaining('Did you mean "default"?'),
    ]);
  });
});

describe('a project', () => {
  test('keeps whoever has a role in it alone from seeing or changing anything else', async () => {
    const { on } = await started();
    for (const id of ['web', 'shop']) await call(on, 'POST', '/admin/projects', { body: { id } });
    const web = (await keyFor(on, { name: 'of web', project: 'web' })).body;
    const shop = (await keyFor(on, { name: 'of shop', project: 'shop' })).body;
    const budget = { scope: 'project', limit_usd: 1, window: 'day' };
    const webBudget = (await call(on, 'POST', '/admin/budgets', { body: { ...budget, name: 'web' } })).body;
    const shopBudget = (await call(on, 'POST', '/admin/budgets', { body: { ...budget, name: 'shop' } })).body;
    for (const { key } of [web, shop]) {
      await (
        await on.chat({ model: 'qwen', messages: [{ role: 'user', content: 'hi' }] }, { headers: bearer(key) })
      ).text();
    }
    const admin = await tokenFor(on, 'admin', 'web');
    const get = async (path: string) => (await call(on, 'GET', path, admin)).body;
    expect((await get('/admin/keys')).keys.map(({ name }: { name: string }) => name)).toEqual(['of web']);
    expect((await get('/admin/keys?project=shop')).keys).toEqual([]);
    expect((await get('/admin/budgets')).budgets.map(({ id }: { id: string }) => id)).toEqual([webBudget.id]);
    expect((await get('/admin/projects')).projects.map(({ id }: { id: string }) => id)).toEqual(['web']);
    expect((await get('/admin/usage?group_by=project')).rows).toMatchObject([{ project: 'web', requests: 1 }]);
    expect((await get('/admin/usage?group_by=project&project=shop')).rows).toEqual([]);
    const exported = await fetch(`${on.url}/admin/usage/export?format=json`, { headers: admin.as });
    expect((await exported.text()).trim().split('\n')).toHaveLength(1);

    const others = [`/admin/keys/${shop.id}`, `/admin/budgets/${shopBudget.id}`];
    for (const path of others) {
      for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const) {
        expect(`${method} ${(await call(on, method, path, { ...admin, body })).status}`).toBe(`${method} 404`);
      }
    }
    expect((await keyFor(on, { name: 'x', project: 'shop' }, admin)).status).toBe(403);
    expect((await keyFor(on, { name: 'x' }, admin)).status).toBe(403);
    expect((await call(on, 'PATCH', `/admin/keys/${web.id}`, { ...admin, body: { project: 'shop' } })).status).toBe(
      403,
    );
    expect(
      (await call(on, 'POST', '/admin/limits', { ...admin, body: { scope: 'organisation', rpm: 1 } })).status,
    ).toBe(403);
    expect((await keyFor(on, { name: 'x', project: 'web' }, admin)).status).toBe(201);
    const member = await tokenFor(on, 'member', 'web');
    expect((await call(on, 'DELETE', `/admin/keys/${web.id}`, member)).status).toBe(403);
    // Refused for the project and not for the route: on record all the same.
    const log = await eventually(
      () => call(on, 'GET', `/admin/audit?action=permission.refuse&actor=token:${admin.id}`),
      ({ body }) => body.entries.length > 3,
    );
    expect(log.body.entries.map(({ subject }: { subject: string }) => subject)).toEqual([
      'permission:limit:write',
      'permission:key:write',
      'permission:key:write',
      'permission:key:write',
    ]);
  });

  test('is renamed at the revision that was seen, and made once', async () => {
    const { on } = await started();
    const made = await call(on, 'POST', '/admin/projects', { body: { id: 'web', name: 'The web' } });
    expect([made.status, made.headers.get('etag')]).toEqual([201, '"1"']);
    expect((await call(on, 'POST', '/admin/projects', { body: { id: 'web' } })).status).toBe(409);
    const rename = (etag: string) =>
      call(on, 'PATCH', '/admin/projects/web', { body: { name: 'Web' }, headers: { 'if-match': etag } });
    expect((await rename('"1"')).body).toMatchObject({ name: 'Web', revision: 2 });
    expect((await rename('"1"')).status).toBe(412);
    expect((await call(on, 'POST', '/admin/projects', { body: { id: 'No good' } })).status).toBe(400);
  });
});

describe('an organisation', () => {
  test('sees nothing of another one, and has its own keys, budgets, usage, people and audit log', async () => {
    const { on, dataDir } = await started();
    await keyFor(on, { name: 'ours' });
    expect((await call(on, 'POST', '/admin/organisations', { body: { id: 'acme' } })).status).toBe(201);
    const owner = await tokenFor(on, 'owner', null, 'acme');
    const made = await keyFor(on, { name: 'theirs', project: 'web' }, owner);
    expect(made.status).toBe(201);
    await (
      await on.chat({ model: 'qwen', messages: [{ role: 'user', content: 'hi' }] }, { headers: bearer(made.body.key) })
    ).text();
    await call(on, 'POST', '/admin/budgets', {
      ...owner,
      body: { scope: 'organisation', limit_usd: 5, window: 'day' },
    });
    const body = { name: 'ann', password: PASSWORD, grants: [{ role: 'auditor' }] };
    expect((await call(on, 'POST', '/admin/users', { ...owner, body })).body.organisation).toBe('acme');

    const lists = ['keys', 'budgets', 'users', 'tokens', 'projects'] as const;
    for (const list of lists) {
      const [ours, theirs] = [await call(on, 'GET', `/admin/${list}`), await call(on, 'GET', `/admin/${list}`, owner)];
      const ids = (reply: { body: Record<string, { id: string }[]> }) => reply.body[list]?.map(({ id }) => id) ?? [];
      expect(`${list} ${ids(theirs).length}`).not.toBe(`${list} 0`);
      if (list !== 'projects') expect(ids(ours).filter((id) => ids(theirs).includes(id))).toEqual([]);
    }
    const usage = await call(on, 'GET', '/admin/usage?group_by=key', owner);
    expect(usage.body.rows).toMatchObject([{ key: made.body.id, requests: 1 }]);
    expect((await call(on, 'GET', '/admin/usage?group_by=key')).body.rows).toEqual([]);
    expect((await call(on, 'GET', `/admin/keys/${made.body.id}`)).status).toBe(404);
    const log = await call(on, 'GET', '/admin/audit', owner);
    expect(log.body.entries.map(({ action }: { action: string }) => action)).toEqual([
      'user.create',
      'budget.create',
      'key.create',
      'token.create',
    ]);
    expect((await call(on, 'GET', '/admin/audit/verify', owner)).body.ok).toBe(true);
    expect((await call(on, 'GET', '/admin/status', owner)).status).toBe(403);
    await on.gateway.stop(1_000);
    const db = new Database(join(dataDir, STORE_FILE), { readonly: true });
    expect(db.query('select organisation_id, project_id from ledger_attempt').all()).toEqual([
      { organisation_id: 'acme', project_id: 'web' },
    ]);
    db.close();
  });

  test('is acted in by whoever runs the gateway, and by nobody else', async () => {
    const { on } = await started();
    await call(on, 'POST', '/admin/organisations', { body: { id: 'acme' } });
    const inside = { headers: { 'x-swarmrouter-organisation': 'acme' } };
    const key = await keyFor(on, { name: 'theirs' }, inside);
    expect((await call(on, 'GET', `/admin/keys/${key.body.id}`, inside)).status).toBe(200);
    const nowhere = { headers: { 'x-swarmrouter-organisation': 'nobody' } };
    expect((await call(on, 'GET', '/admin/keys', nowhere)).body.error.code).toBe('organisation_not_found');
    const [ours, theirs] = [await tokenFor(on, 'admin'), await tokenFor(on, 'owner', null, 'acme')];
    expect((await call(on, 'GET', '/admin/keys', { ...ours, ...inside })).status).toBe(404);
    const out = { ...theirs, headers: { 'x-swarmrouter-organisation': 'default' } };
    expect((await call(on, 'GET', '/admin/keys', out)).status).toBe(404);
  });
});

describe('a shared limit', () => {
  test('counts all keys of its project or organisation, or all calls of its model, from the next request on', async () => {
    const { on } = await started();
    const [one, two] = [
      (await keyFor(on, { name: 'one', project: 'web' })).body.key,
      (await keyFor(on, { name: 'two', project: 'web' })).body.key,
    ];
    const other = (await keyFor(on, { name: 'other' })).body.key;
    const chat = async (key: string) => {
      const reply = await on.chat(
        { model: 'qwen', messages: [{ role: 'user', content: 'hi' }] },
        { headers: bearer(key) },
      );
      await reply.text();
      return reply.status;
    };
    const set = await call(on, 'POST', '/admin/limits', { body: { scope: 'project', name: 'web', rpm: 2 } });
    expect([set.status, set.body]).toEqual([
      200,
      { scope: 'project', name: 'web', rpm: 2, tpm: null, concurrent: null, revision: 1, warnings: [] },
    ]);
    expect([await chat(one), await chat(two), await chat(one), await chat(other)]).toEqual([200, 200, 429, 200]);
    expect((await call(on, 'DELETE', '/admin/limits?scope=project&name=web')).status).toBe(200);
    expect(await chat(one)).toBe(200);
    await call(on, 'POST', '/admin/limits', { body: { scope: 'model', name: 'qwen', rpm: 0 } });
    expect([await chat(one), await chat(other)]).toEqual([429, 429]);
    expect((await call(on, 'GET', '/admin/limits')).body.limits).toMatchObject([{ scope: 'model', name: 'qwen' }]);
  });

  test('is not set for a project that is not there, nor with a value that is no limit, and a model’s by no tenant', async () => {
    const { on } = await started();
    await call(on, 'POST', '/admin/organisations', { body: { id: 'acme' } });
    const owner = await tokenFor(on, 'owner', null, 'acme');
    const post = async (body: object, options = {}) => {
      const reply = await call(on, 'POST', '/admin/limits', { body, ...options });
      return [reply.status, reply.body.error?.code];
    };
    expect(await post({ scope: 'project', name: 'wbe', rpm: 1 })).toEqual([400, 'project_not_found']);
    expect(await post({ scope: 'organisation', rpm: -1 })).toEqual([400, 'invalid_limit']);
    expect(await post({ scope: 'organisation' })).toEqual([400, 'invalid_limit']);
    expect(await post({ scope: 'model', name: 'qwen', rpm: 0 }, owner)).toEqual([403, 'permission_denied']);
    expect(await post({ scope: 'organisation', rpm: 5 }, owner)).toEqual([200, undefined]);
    expect((await call(on, 'GET', '/admin/limits')).body.limits).toEqual([]);
  });
});

describe('every route of the admin API', () => {
  test('is closed to tokens that were revoked or have expired, to sessions that ended, and to client keys', async () => {
    const { on } = await started();
    const revoked = await tokenFor(on, 'owner');
    await call(on, 'DELETE', `/admin/tokens/${revoked.id}`);
    const soon = { name: 'old', grants: [{ role: 'owner' }], expires_at: new Date(Date.now() + 50).toISOString() };
    const expired = (await call(on, 'POST', '/admin/tokens', { body: soon })).body.token;
    await call(on, 'POST', '/admin/users', { body: { name: 'olga', password: PASSWORD, grants: [{ role: 'owner' }] } });
    const { as: ended } = await login(on, 'olga');
    await call(on, 'DELETE', '/admin/session', { as: ended });
    const client = (await keyFor(on, { name: 'client' })).body.key;
    await Bun.sleep(60);
    const document = await (await fetch(`${on.url}/openapi.json`)).json();
    const routes = Object.entries<Record<string, { 'x-permission'?: string }>>(document.paths).flatMap(([path, item]) =>
      Object.entries(item).flatMap(([method, operation]) =>
        operation['x-permission'] === undefined ? [] : [[method.toUpperCase(), path.replaceAll(/\{\w+\}/g, 'some-id')]],
      ),
    );
    expect(routes.length).toBeGreaterThan(40);
    for (const [method = '', path = ''] of routes) {
      for (const as of [revoked.as, bearer(expired), ended, bearer(client), { 'x-api-key': on.adminKey }]) {
        expect(`${method} ${path} ${(await call(on, method, path, { as })).status}`).toBe(`${method} ${path} 401`);
      }
    }
  });
});

describe('a single user', () => {
  test('who looks at people, tokens, projects and limits has no store made for it', async () => {
    const { on, dataDir } = await started();
    for (const path of ['users', 'tokens', 'projects', 'organisations', 'limits', 'session']) {
      expect(`${path} ${(await call(on, 'GET', `/admin/${path}`)).status}`).toBe(`${path} 200`);
    }
    expect((await login(on, 'anybody')).status).toBe(401);
    expect(await readdir(dataDir)).not.toContain(STORE_FILE);
  });
});
