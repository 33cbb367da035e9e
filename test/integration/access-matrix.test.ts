import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { generateKey, TOKEN_START } from '../../src/admission/key-format.ts';
import { ROLES, reachOf } from '../../src/core/permissions.ts';
import { ACCESS } from '../../src/http/access.ts';
import { adminPorts } from '../../src/http/admin/admin-fixture.ts';
import { buildAdminApp } from '../../src/http/admin/app.ts';
import { permissionsOf } from '../../src/http/admin/permission.ts';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { adminCall, bearer } from '../support/admin-client.ts';
import { startTestGateway, type TestGateway, targetFor } from '../support/gateway.ts';
import { madeTenant, PASSWORD, personWith, type Tenant, tokenWith } from '../support/tenants.ts';

/** Every route of the control plane, read from the router itself, with the permission that it needs. */
const PERMISSION_OF = permissionsOf(buildAdminApp(adminPorts()));
const ROUTES = [...PERMISSION_OF.keys()];

interface Attack {
  /** What stands for `:id`. */
  readonly id?: string;
  readonly query?: string;
  readonly body?: unknown;
}

/**
 * How each route could be made to touch or show what is of another tenant. A route that is not in it fails the first
 * test: whoever adds one says here how it could be misused.
 */
const ATTACKS: Readonly<Record<string, (of: Tenant) => readonly Attack[]>> = {
  'GET /admin/aliases': () => [{}],
  'GET /admin/aliases/:name': () => [{ id: 'nobody' }],
  'PUT /admin/aliases/:name': () => [{ id: 'nobody', body: { target: 'qwen' } }],
  'DELETE /admin/aliases/:name': () => [{ id: 'nobody' }],
  'GET /admin/audit': ({ key, canary }) => [
    {},
    { query: `subject=key:${key.id}` },
    { query: `actor=key:${key.id}` },
    { query: `subject=${canary}` },
    { query: 'cursor=1000' },
  ],
  'GET /admin/audit/export': ({ key }) => [
    { query: 'format=json' },
    { query: 'format=csv' },
    { query: `format=json&subject=key:${key.id}` },
  ],
  'GET /admin/audit/verify': () => [{}],
  'GET /admin/budgets': ({ project }) => [
    {},
    { query: `scope=project&name=${project}` },
    { query: 'scope=organisation' },
  ],
  'POST /admin/budgets': ({ project, key }) => [
    { body: { scope: 'project', name: project, limit_usd: 0, window: 'total' } },
    { body: { scope: 'key', name: key.id, limit_usd: 0, window: 'total' } },
  ],
  'GET /admin/budgets/:id': ({ budgetId }) => [{ id: budgetId }],
  'PATCH /admin/budgets/:id': ({ budgetId }) => [
    { id: budgetId, body: { limit_usd: 0 } },
    { id: budgetId, body: {} },
  ],
  'DELETE /admin/budgets/:id': ({ budgetId }) => [{ id: budgetId }],
  'GET /admin/decisions': () => [{}],
  'GET /admin/decisions/:id': ({ key }) => [{ id: key.id }],
  'POST /admin/explain': () => [{ body: { model: 'qwen', messages: [{ role: 'user', content: 'hi' }] } }],
  'GET /admin/keys': ({ key, project, canary }) => [
    {},
    { query: `project=${project}` },
    { query: `name=${canary}` },
    { query: `cursor=${key.id}` },
    { query: `prefix=${key.text.slice(0, 13)}` },
    { query: 'state=live&limit=1000' },
  ],
  'POST /admin/keys': ({ project }) => [{ body: { name: 'mine', project } }],
  'GET /admin/keys/:id': ({ key }) => [{ id: key.id }],
  'PATCH /admin/keys/:id': ({ key }) => [
    { id: key.id, body: { limits: { rpm: 0 } } },
    { id: key.id, body: { project: 'web' } },
    { id: key.id, body: {} },
  ],
  'DELETE /admin/keys/:id': ({ key }) => [{ id: key.id }],
  'POST /admin/keys/:id/rotate': ({ key }) => [{ id: key.id, body: { grace_seconds: 0 } }],
  'GET /admin/ledger/verify': () => [{}],
  'GET /admin/limits': () => [{}],
  'POST /admin/limits': ({ project, organisation }) => [
    { body: { scope: 'project', name: project, rpm: 0 } },
    { body: { scope: 'organisation', name: organisation, rpm: 0 } },
  ],
  'DELETE /admin/limits': ({ project, organisation }) => [
    { query: `scope=project&name=${project}` },
    { query: `scope=organisation&name=${organisation}` },
  ],
  'GET /admin/organisations': () => [{}],
  'POST /admin/organisations': ({ organisation }) => [{ body: { id: organisation } }],
  'PATCH /admin/organisations/:id': ({ organisation }) => [{ id: organisation, body: { name: 'taken over' } }],
  'GET /admin/overflow_provider': () => [{}],
  'POST /admin/overflow_provider': () => [{ body: {} }],
  'DELETE /admin/overflow_provider/:name': () => [{ id: 'nobody' }],
  'GET /admin/prices': () => [{}],
  'POST /admin/prices': () => [{ body: {} }],
  'DELETE /admin/prices': () => [{}],
  'GET /admin/projects': () => [{}],
  'POST /admin/projects': ({ project }) => [{ body: { id: project, name: 'taken over' } }],
  'PATCH /admin/projects/:id': ({ project }) => [{ id: project, body: { name: 'taken over' } }],
  'GET /admin/providers': () => [{}],
  'POST /admin/providers': () => [{ body: {} }],
  'GET /admin/providers/:name': () => [{ id: 'nobody' }],
  'PUT /admin/providers/:name': () => [{ id: 'nobody', body: {} }],
  'PATCH /admin/providers/:name': () => [{ id: 'nobody', body: {} }],
  'DELETE /admin/providers/:name': () => [{ id: 'nobody' }],
  'POST /admin/reload': () => [{}],
  'GET /admin/routes': () => [{}],
  'GET /admin/routes/:name': () => [{ id: 'nobody' }],
  'PUT /admin/routes/:name': () => [{ id: 'nobody', body: {} }],
  'DELETE /admin/routes/:name': () => [{ id: 'nobody' }],
  'POST /admin/secrets/rotate': () => [{}],
  'GET /admin/session': () => [{}],
  // Nobody's but their own; tokens have none.
  'DELETE /admin/session': () => [{}],
  'POST /admin/session/password': () => [{ body: { current_password: 'x', new_password: 'y' } }],
  'GET /admin/status': () => [{}],
  'GET /admin/tokens': () => [{}],
  'POST /admin/tokens': ({ project }) => [{ body: { name: 'mine', grants: [{ role: 'owner', project }] } }],
  'DELETE /admin/tokens/:id': ({ tokenId }) => [{ id: tokenId }],
  'GET /admin/usage': ({ project }) => [
    { query: 'group_by=key,project' },
    { query: `group_by=key&project=${project}` },
    { query: 'group_by=key&from=2020-01-01T00:00:00Z' },
  ],
  'GET /admin/usage/export': ({ project }) => [
    { query: 'format=json' },
    { query: `format=csv&project=${project}` },
    { query: 'format=json&from=2020-01-01T00:00:00Z' },
  ],
  'GET /admin/users': () => [{}],
  'POST /admin/users': ({ project, canary }) => [
    { body: { name: canary, password: PASSWORD, grants: [] } },
    { body: { name: 'a b', password: PASSWORD, grants: [{ role: 'owner', project }] } },
  ],
  'PATCH /admin/users/:id': ({ userId }) => [
    { id: userId, body: { disabled: true } },
    { id: userId, body: { password: 'mine now, thank you' } },
    { id: userId, body: {} },
  ],
};

function addressOf(route: string, { id = 'some-id', query }: Attack): [method: string, path: string] {
  const [method = '', path = ''] = route.split(' ');
  return [method, `${path.replace(/:\w+/, encodeURIComponent(id))}${query === undefined ? '' : `?${query}`}`];
}

/** All that an attack could have changed of a tenant, as it stands in the store. */
function rowsOf(dataDir: string, { organisation, project, key }: Tenant, wholeOrganisation: boolean): string {
  const db = new Database(join(dataDir, STORE_FILE), { readonly: true });
  const select = (table: string, where: string, ...values: string[]) =>
    db.query(`select * from ${table} where organisation_id = ? ${where} order by 1, 2, 3`).all(organisation, ...values);
  const rows = wholeOrganisation
    ? TENANT_TABLES.map((table) => select(table, ''))
    : [
        select('project', 'and project_id = ?', project),
        select('client_key', 'and project_id = ?', project),
        select('client_key_version', 'and key_id = ?', key.id),
        select('budget', 'and scope_id in (?, ?)', project, key.id),
        select('shared_limit', 'and scope_id = ?', project),
        select('person', ''),
        select('service_token', ''),
      ];
  db.close();
  return JSON.stringify(rows);
}

const TENANT_TABLES = [
  ...['organisation', 'project', 'client_key', 'client_key_version', 'budget', 'shared_limit', 'person'],
  ...['service_token', 'price', 'ledger_attempt'],
];

let simulator: Simulator;
let on: TestGateway;
let dataDir: string;
/** Of the organisation that runs the gateway: one project to be in, one to be kept out of. */
let shop: Tenant;
let acme: Tenant;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-matrix-'));
  simulator = await startSimulator({ kind: 'lm-studio', models: [{ id: 'qwen' }], replyTokens: 5 });
  on = await startTestGateway([targetFor(simulator)], { dataDir, usage: true });
  await madeTenant(on, 'default', 'web');
  shop = await madeTenant(on, 'default', 'shop');
  acme = await madeTenant(on, 'acme', 'web');
});
afterAll(async () => {
  await on.stop();
  await simulator.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test('S-03 every route of the control plane has its place in the matrix, and the matrix names no other', () => {
  expect(Object.keys(ATTACKS).sort()).toEqual(ROUTES.toSorted());
});

/** Of whoever runs the gateway: all tenants are in them, for those who hold a role in the whole of its organisation. */
const isOfTheGateway = (route: string): boolean => {
  const permission = PERMISSION_OF.get(route);
  return permission !== undefined && permission !== 'self' && reachOf(permission) === 'gateway';
};

interface Stranger {
  readonly who: string;
  readonly victim: () => Tenant;
  readonly home: { readonly organisation: string; readonly project: string | null };
  /** It may not even see what is of the gateway. */
  readonly isTenant: boolean;
}
const STRANGERS: readonly Stranger[] = [
  {
    who: 'in the organisation that runs the gateway, of another one',
    victim: () => acme,
    home: { organisation: 'default', project: null },
    isTenant: false,
  },
  {
    who: 'in an organisation, of the one that runs the gateway',
    victim: () => shop,
    home: { organisation: 'acme', project: null },
    isTenant: true,
  },
  {
    who: 'in one project, of another one',
    victim: () => shop,
    home: { organisation: 'default', project: 'web' },
    isTenant: true,
  },
  {
    who: 'in one project, of a project of the same name in another organisation',
    victim: () => acme,
    home: { organisation: 'default', project: 'web' },
    isTenant: true,
  },
];

describe('S-03 S-18 L-03 L-29 nobody reaches what is another tenant’s', () => {
  for (const { who, victim, home, isTenant } of STRANGERS) {
    for (const role of ROLES) {
      test(`as ${role} ${who}: every route is asked for it in every way, shows nothing and changes nothing`, async () => {
        const { as } = await tokenWith(on, role, home);
        const wholeOrganisation = victim().organisation !== home.organisation;
        const before = rowsOf(dataDir, victim(), wholeOrganisation);
        const found: string[] = [];
        for (const route of ROUTES) {
          for (const attack of ATTACKS[route]?.(victim()) ?? []) {
            const [method, path] = addressOf(route, attack);
            // Their doing is allowed, and touches everybody: only that they show nothing matters here.
            if (!isTenant && isOfTheGateway(route) && method !== 'GET') continue;
            const reply = await adminCall(on.url, method, path, {
              as,
              body: method === 'GET' ? undefined : attack.body,
            });
            const { status, text } = reply;
            if (status >= 500) found.push(`${method} ${path}: ${status} ${text}`);
            if (attack.id !== undefined && ![403, 404].includes(status) && isAboutAnother(route, home, victim())) {
              found.push(`${method} ${path}: ${status} in place of 404 or 403`);
            }
            // What it sent itself may come back in a refusal; what it did not know must not.
            const isShown = text.includes(victim().key.id) && !path.includes(victim().key.id);
            const isNamed =
              text.includes(victim().canary) && !JSON.stringify([path, attack.body]).includes(victim().canary);
            if ((isShown || isNamed) && (isTenant || !isOfTheGateway(route))) found.push(`${method} ${path}: shows it`);
          }
        }
        expect(found).toEqual([]);
        expect(rowsOf(dataDir, victim(), wholeOrganisation)).toBe(before);
        const chat = await on.chat(
          { model: 'qwen', messages: [{ role: 'user', content: 'hi' }] },
          { headers: bearer(victim().key.text) },
        );
        await chat.text();
        expect(chat.status).toBe(200);
      }, 30_000);
    }
  }

  test('nor with the header that names another organisation, unless they look after all of them', async () => {
    const holders = [
      ...ROLES.filter((role) => role !== 'owner').map((role) => ({ role, organisation: 'default', project: null })),
      ...ROLES.map((role) => ({ role, organisation: 'default', project: 'web' })),
      ...ROLES.map((role) => ({ role, organisation: 'acme', project: null })),
    ];
    for (const { role, ...home } of holders) {
      const { as } = await tokenWith(on, role, home);
      const other = home.organisation === 'acme' ? 'default' : 'acme';
      for (const route of ROUTES) {
        const [method, path] = addressOf(route, {});
        const headers = { 'x-swarmrouter-organisation': other };
        const { status, body } = await adminCall(on.url, method, path, { as, headers });
        expect(`${role} ${route} ${status} ${body?.error?.code}`).toBe(`${role} ${route} 404 organisation_not_found`);
      }
    }
  }, 30_000);

  test('nor changes with a role in one project what a role in another one lets them see', async () => {
    const grants = [
      { role: 'member', project: 'shop' },
      { role: 'admin', project: 'web' },
    ];
    const body = { name: 'both', grants };
    const made = await adminCall(on.url, 'POST', '/admin/tokens', { as: bearer(on.adminKey), body });
    const as = bearer(made.body.token);
    const [key, budget] = [`/admin/keys/${shop.key.id}`, `/admin/budgets/${shop.budgetId}`];
    const before = rowsOf(dataDir, shop, false);
    for (const path of [key, budget]) expect((await adminCall(on.url, 'GET', path, { as })).status).toBe(200);
    const place = { scope: 'project', name: 'shop' };
    const writes: readonly (readonly [method: string, path: string, body?: object])[] = [
      ['PATCH', budget, { limit_usd: 0 }],
      ['DELETE', budget],
      ['POST', '/admin/budgets', { ...place, limit_usd: 0, window: 'total' }],
      ['PATCH', key, { limits: { rpm: 0 } }],
      ['PATCH', key, { project: 'web' }],
      ['DELETE', key],
      ['POST', `${key}/rotate`, { grace_seconds: 0 }],
      ['POST', '/admin/keys', { name: 'mine', project: 'shop' }],
      ['POST', '/admin/limits', { ...place, rpm: 0 }],
      ['DELETE', '/admin/limits?scope=project&name=shop'],
    ];
    for (const [method, path, sent] of writes) {
      const { status, body: reply } = await adminCall(on.url, method, path, { as, body: sent });
      expect(`${method} ${path} ${status} ${reply?.error?.code}`).toBe(`${method} ${path} 403 permission_denied`);
    }
    expect(rowsOf(dataDir, shop, false)).toBe(before);
  });

  test('nor sees in one project the limits of another one, which whoever is in the whole organisation does', async () => {
    const limitsOf = async (project: string | null) => {
      const { as } = await tokenWith(on, 'member', { project });
      const { body } = await adminCall(on.url, 'GET', '/admin/limits', { as });
      return body.limits.map(({ scope, name }: { scope: string; name: string }) => `${scope} ${name}`).sort();
    };
    expect(await limitsOf('web')).toEqual(['project web']);
    expect(await limitsOf(null)).toEqual(['project shop', 'project web']);
  });

  test('while their own they do reach: the same requests of the tenant itself are answered', async () => {
    const { as } = await tokenWith(on, 'owner', { organisation: 'acme' });
    for (const [route, attacks] of Object.entries(ATTACKS)) {
      const [attack = {}] = attacks(acme);
      if (!route.startsWith('GET') || attack.id === undefined || isOfTheGateway(route)) continue;
      const [method, path] = addressOf(route, attack);
      const { status, text } = await adminCall(on.url, method, path, { as });
      expect(`${route} ${status}`).toBe(`${route} 200`);
      expect(text).toContain(attack.id);
    }
  });
});

/** A project of one's own organisation may have the same id as the one that is attacked. */
function isAboutAnother(route: string, home: Stranger['home'], victim: Tenant): boolean {
  return !(route.includes('/admin/projects/') && home.organisation !== victim.organisation);
}

describe('S-03 L-03 what opens nothing opens no route of the control plane', () => {
  async function dead(): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const asAdmin = bearer(on.adminKey);
    const found = new Map<string, Record<string, string>>([
      ['no credential', {}],
      ['an empty one', { authorization: '' }],
      ['another scheme', { authorization: `Basic ${btoa(`admin:${on.adminKey}`)}` }],
      ['the admin key twice', { authorization: `Bearer ${on.adminKey} ${on.adminKey}` }],
      ['a part of the admin key', bearer(on.adminKey.slice(0, -1))],
      ['the admin key in another header', { 'x-api-key': on.adminKey }],
      ['the admin key as a cookie', { cookie: `swarmrouter-session=${on.adminKey}` }],
      ['a token that nobody has', bearer(generateKey(undefined, TOKEN_START))],
      ['a mistyped token', bearer(`${generateKey(undefined, TOKEN_START).slice(0, -1)}!`)],
      ['a session that nobody has', { cookie: `swarmrouter-session=${'A'.repeat(43)}` }],
      ['a client key', bearer(shop.key.text)],
      ['a client key in its other header', { 'x-api-key': shop.key.text }],
      ['a client key of another organisation', bearer(acme.key.text)],
    ]);
    const soon = new Date(Date.now() + 700).toISOString();
    for (const role of ROLES) {
      const revoked = await tokenWith(on, role);
      await adminCall(on.url, 'DELETE', `/admin/tokens/${revoked.id}`, { as: asAdmin });
      found.set(`a revoked token of a role ${role}`, revoked.as);
      const body = { name: 'soon over', grants: [{ role }], expires_at: soon };
      const expired = await adminCall(on.url, 'POST', '/admin/tokens', { as: asAdmin, body });
      found.set(`an expired token of a role ${role}`, bearer(expired.body.token));
      const disabled = await personWith(on, `disabled-${role}`, role);
      await adminCall(on.url, 'PATCH', `/admin/users/${disabled.id}`, { as: asAdmin, body: { disabled: true } });
      found.set(`the login of a disabled ${role}`, disabled.as);
    }
    const gone = await personWith(on, 'gone', 'owner');
    await adminCall(on.url, 'DELETE', '/admin/session', { as: gone.as });
    found.set('a login that has ended', gone.as);
    const changed = await personWith(on, 'changed', 'owner');
    const body = { password: 'another long password' };
    await adminCall(on.url, 'PATCH', `/admin/users/${changed.id}`, { as: asAdmin, body });
    found.set('a login from before the password changed', changed.as);
    await Bun.sleep(Math.max(0, Date.parse(soon) - Date.now() + 5));
    return found;
  }

  test('whatever it was and whose', async () => {
    const credentials = await dead();
    expect(credentials.size).toBe(30);
    const open: string[] = [];
    for (const [what, as] of credentials) {
      for (const route of ROUTES) {
        const [method, path] = addressOf(route, {});
        const { status } = await adminCall(on.url, method, path, { as });
        if (status !== 401) open.push(`${what}: ${route} ${status}`);
      }
    }
    expect(open).toEqual([]);
  }, 60_000);
});

describe('S-03 L-15 what opens nothing opens no path of the data plane', () => {
  const CLOSED = Object.entries(ACCESS).filter(([, access]) => access === 'client' || access === 'operator');
  const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

  async function credentials(): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>> {
    const as = bearer(on.adminKey);
    const body = { name: 'over', project: 'web' };
    const make = async (more: object) =>
      (await adminCall(on.url, 'POST', '/admin/keys', { as, body: { ...body, ...more } })).body;
    const revoked = await make({});
    await adminCall(on.url, 'DELETE', `/admin/keys/${revoked.id}`, { as });
    const soon = new Date(Date.now() + 300).toISOString();
    const expired = await make({ expires_at: soon });
    const rotated = await make({});
    await adminCall(on.url, 'POST', `/admin/keys/${rotated.id}/rotate`, { as, body: { grace_seconds: 0 } });
    const found = new Map<string, Record<string, string>>([
      ['no credential', {}],
      ['the admin key on a path of clients', as],
      ['a revoked key', bearer(revoked.key)],
      ['a revoked key in x-api-key', { 'x-api-key': revoked.key }],
      ['an expired key', bearer(expired.key)],
      ['the text of a key before it was rotated', bearer(rotated.key)],
      ['a key that nobody has', bearer(generateKey())],
      ['a mistyped key', bearer(`${shop.key.text.slice(0, -1)}!`)],
      ['two keys', { ...bearer(shop.key.text), 'x-api-key': shop.key.text }],
      ['a client key on a path of the operator', bearer(shop.key.text)],
    ]);
    for (const role of ROLES) {
      found.set(`a token of a role ${role}`, (await tokenWith(on, role)).as);
      found.set(`the login of a person with a role ${role}`, (await personWith(on, `v1-${role}`, role)).as);
    }
    await Bun.sleep(Math.max(0, Date.parse(soon) - Date.now() + 5));
    return found;
  }

  test('whatever it was and whose, with whatever method', async () => {
    expect(CLOSED.length).toBeGreaterThanOrEqual(4);
    const open: string[] = [];
    for (const [what, headers] of await credentials()) {
      for (const [path, access] of CLOSED) {
        const opens = {
          client: 'a client key on a path of the operator',
          operator: 'the admin key on a path of clients',
        };
        if (what === opens[access as 'client' | 'operator']) continue;
        for (const method of METHODS) {
          const { status } = await fetch(`${on.url}${path.replace('*', 'qwen')}`, { method, headers });
          if (![400, 401, 404, 405].includes(status)) open.push(`${what}: ${method} ${path} ${status}`);
        }
      }
    }
    expect(open).toEqual([]);
  }, 60_000);

  test('while a client key opens the paths of clients, and the admin key those of the operator', async () => {
    for (const [path, access] of CLOSED) {
      if (path === '/v1/chat/completions') continue;
      const headers = access === 'client' ? bearer(acme.key.text) : bearer(on.adminKey);
      expect(`${path} ${(await fetch(`${on.url}${path.replace('*', 'qwen')}`, { headers })).status}`).toBe(
        `${path} 200`,
      );
    }
  });
});
