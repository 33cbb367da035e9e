import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { connect } from 'node:net';
import { StoreUnavailable } from '../../core/ledger.ts';
import type { PriceDesk } from '../../core/prices.ts';
import { ADMIN_KEY, adminPorts, providerFixture, someTarget } from './admin-fixture.ts';
import { buildAdminApp, createAdminApp } from './app.ts';

const LOGIN = ['/admin/login', '/admin/login/oidc', '/admin/login/oidc/callback'];
const PAGES = ['/docs', '/docs/app.js', '/docs/style.css', '/login', '/login/app.js', '/login/style.css'];
const PUBLIC = [...LOGIN, ...PAGES, '/openapi.json'];
const base = someTarget({ id: 'openrouter', provider: 'openrouter', adapterKind: 'openrouter', place: 'cloud' });
const ports = adminPorts({ providers: providerFixture({ baseTargets: [base] }).service });
const NOWHERE = { requestId: null, peerAddress: null };
const withKey = { authorization: `Bearer ${ADMIN_KEY}` };

let server: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  const app = createAdminApp(ports);
  server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: (request) => app.fetch(request) });
});
afterAll(() => server.stop(true));

const call = (path: string, init: RequestInit = {}) => fetch(new URL(path, server.url), init);

/** Over a bare socket, since `fetch` would tidy the path before it is sent. */
function statusOfRaw(path: string, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(server.port), '127.0.0.1');
    socket.on('connect', () =>
      socket.write(`${method} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`),
    );
    let reply = '';
    socket.on('data', (bytes) => {
      reply += bytes;
    });
    socket.on('end', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(reply)?.[1] ?? 0)));
    socket.on('error', reject);
  });
}

async function expectEnvelope(reply: Response, status: number, code: string) {
  expect(reply.status).toBe(status);
  const body = await reply.json();
  expect(Object.keys(body)).toEqual(['error']);
  expect(Object.keys(body.error).sort()).toEqual(['code', 'message', 'param', 'type']);
  expect(body.error.code).toBe(code);
  return body.error;
}

describe('the admin key', () => {
  const routes = buildAdminApp(ports).routes.filter(({ path }) => !PUBLIC.includes(path));
  const matrix = new Set(
    routes.flatMap(({ method, path }) =>
      (method === 'ALL' ? ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] : [method]).map(
        (verb) => `${verb} ${path.replace(/\*$/, 'anything').replace(/:\w+(\{[^}]*\})?/g, 'x')}`,
      ),
    ),
  );

  test('guards routes that exist', () => {
    for (const route of ['GET /admin/status', 'POST /admin/overflow_provider', 'DELETE /admin/overflow_provider/x']) {
      expect([...matrix]).toContain(route);
    }
  });

  for (const route of matrix) {
    const [method = '', path = ''] = route.split(' ');
    test(`is needed for ${route}`, async () => {
      for (const value of [null, 'Bearer wrong', ADMIN_KEY, 'Basic eA==']) {
        const headers: Record<string, string> = value === null ? {} : { authorization: value };
        const reply = await call(path, { method, headers });
        expect(reply.headers.get('www-authenticate')).toBe('Bearer');
        await expectEnvelope(reply, 401, value === null ? 'missing_admin_key' : 'invalid_admin_key');
      }
    });
  }

  test('is accepted whatever the case of the scheme', async () => {
    expect((await call('/admin/status', { headers: { authorization: `bearer ${ADMIN_KEY}` } })).status).toBe(200);
  });

  test('is not accepted in part, doubled or in another place', async () => {
    for (const value of [ADMIN_KEY.slice(0, -1), `${ADMIN_KEY}x`, `${ADMIN_KEY} ${ADMIN_KEY}`, '']) {
      expect((await call('/admin/status', { headers: { authorization: `Bearer ${value}` } })).status).toBe(401);
    }
    expect((await call(`/admin/status?key=${ADMIN_KEY}`)).status).toBe(401);
    expect((await call('/admin/status', { headers: { 'x-api-key': ADMIN_KEY } })).status).toBe(401);
  });

  test('cannot be avoided by writing the path differently', async () => {
    const variants = [
      '/ADMIN/status',
      '/Admin/Status',
      '//admin/status',
      '/admin//status',
      '/admin/status/',
      '/admin%2fstatus',
      '/%61dmin/status',
      '/admin/status;x',
      '/./admin/status',
      '/docs/../admin/status',
      '/docs/%2e%2e/admin/status',
      '/docs//admin/status',
      '/openapi.json/../admin/status',
      '/openapi.json/admin/status',
      '/docs/admin/status',
      '/admin/status?/docs',
      '/admin/status%00',
      '/admin\\status',
      '/docs/..;/admin/status',
      '/admin/status/docs',
    ];
    for (const path of variants) expect(`${path} ${await statusOfRaw(path)}`).toMatch(/ 40[01]$/);
    for (const method of ['HEAD', 'OPTIONS', 'PUT', 'TRACE']) {
      expect([400, 401, 405]).toContain(await statusOfRaw('/admin/status', method));
    }
  });

  test('is asked for before a single byte of the body is wanted', async () => {
    let pulled = 0;
    const body = new ReadableStream(
      {
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(1024));
        },
      },
      { highWaterMark: 0 },
    );
    const request = new Request('http://localhost/admin/overflow_provider', { method: 'POST', body });
    expect((await createAdminApp(ports).fetch(request)).status).toBe(401);
    expect(pulled).toBe(0);
  });

  test('appears in no reply', async () => {
    const paths = [...PUBLIC, '/admin/status', '/admin/overflow_provider', `/admin/${ADMIN_KEY.slice(0, 9)}`];
    for (const path of paths) {
      const reply = await call(path, { headers: withKey });
      expect(JSON.stringify([...reply.headers]) + (await reply.text())).not.toContain(ADMIN_KEY);
    }
  });
});

describe('errors of the control plane', () => {
  test('come in the envelope for an unknown path', async () => {
    const error = await expectEnvelope(await call('/admin/nothing', { headers: withKey }), 404, 'not_found');
    expect(error.message).toContain('GET /admin/nothing');
  });

  test('come in the envelope for a wrong method, with what is allowed', async () => {
    const reply = await call('/admin/overflow_provider', { method: 'PUT', headers: withKey });
    expect(reply.headers.get('allow')).toBe('GET, HEAD, POST');
    await expectEnvelope(reply, 405, 'method_not_allowed');
    expect((await call('/admin/status', { method: 'DELETE', headers: withKey })).headers.get('allow')).toBe(
      'GET, HEAD',
    );
  });

  test('show nothing of an unforeseen failure', async () => {
    const broken = createAdminApp({
      ...ports,
      targets: () => {
        throw new Error('secret detail');
      },
    });
    const reply = await broken.fetch(new Request('http://localhost/admin/status', { headers: withKey }));
    const error = await expectEnvelope(reply, 500, 'internal_error');
    expect(error.message).not.toContain('secret detail');
  });

  test('are told where they are logged when they were not foreseen, with the request they came of, and no others are', async () => {
    const told: unknown[] = [];
    const unforeseen = new TypeError('undefined is not a function');
    const notAnswering = new StoreUnavailable('locked', 'busy');
    const failing = (error: Error) =>
      createAdminApp({
        ...ports,
        usersIfAny: () => Promise.reject(error),
        failed: (...failure) => told.push(failure),
      });
    const from = { requestId: 'req-1', peerAddress: '127.0.0.1', setIdleTimeout: () => undefined };
    const users = (init: RequestInit = {}) =>
      new Request('http://localhost/admin/users', { headers: withKey, ...init });
    expect((await failing(unforeseen).fetch(users(), from)).status).toBe(500);
    expect(told).toEqual([[unforeseen, { requestId: 'req-1', peerAddress: '127.0.0.1' }]]);
    const left = users({ signal: AbortSignal.abort() });
    const foreseen: [Error, Request, number][] = [
      [notAnswering, users(), 503],
      [unforeseen, users({ headers: {} }), 401],
      [unforeseen, users({ method: 'PUT' }), 405],
      [unforeseen, left, 500],
    ];
    for (const [error, request, status] of foreseen) {
      expect((await failing(error).fetch(request, from)).status).toBe(status);
    }
    expect(told.length).toBe(1);
  });

  test('say of a price that was not kept because the store takes nothing now when to ask again', async () => {
    const desk = { list: () => [], set: () => Promise.reject(new StoreUnavailable('locked', 'busy')) };
    const app = createAdminApp({ ...ports, prices: async () => desk as unknown as PriceDesk });
    const request = new Request('http://localhost/admin/prices', {
      method: 'POST',
      headers: { ...withKey, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', input_usd_per_mtok: 1, output_usd_per_mtok: 1 }),
    });
    const reply = await app.fetch(request);
    expect(reply.headers.get('retry-after')).toBe('1');
    await expectEnvelope(reply, 503, 'store_unavailable');
  });

  test('may take their time over the ledger: the connection is kept open meanwhile', async () => {
    const timeouts: number[] = [];
    const app = createAdminApp({
      ...ports,
      ledger: () => ({
        async verify() {
          timeouts.push(-1);
          const nothing = { attempts: 0, parts: 0, windows: 0, findings: [], cutShort: new Set<never>() };
          const overcharged = { calls: 0, excessNanoUsd: 0, excessTokens: 0, parts: 0, listed: [] };
          return { ...nothing, overcharged, backlog: { waiting: 0, problem: null } };
        },
      }),
    });
    const connection = { ...NOWHERE, setIdleTimeout: (seconds: number) => void timeouts.push(seconds) };
    const request = new Request('http://localhost/admin/ledger/verify', { headers: withKey });
    expect((await app.fetch(request, connection)).status).toBe(200);
    expect(timeouts).toEqual([0, -1]);
  });

  test('are never cached, as nothing here is', async () => {
    for (const path of ['/admin/status', '/admin/nothing', '/docs']) {
      expect((await call(path, { headers: withKey })).headers.get('cache-control')).toBe('no-store');
    }
  });
});

describe('the OpenAPI document', () => {
  test('describes every route of the control plane and the data plane, with no reference left open', async () => {
    const reply = await call('/openapi.json');
    const text = await reply.text();
    const document = JSON.parse(text);
    expect(document.openapi).toBe('3.1.0');
    expect(Object.keys(document.paths).sort()).toEqual([
      '/',
      '/admin/aliases',
      '/admin/aliases/{name}',
      '/admin/audit',
      '/admin/audit/export',
      '/admin/audit/verify',
      '/admin/budgets',
      '/admin/budgets/{id}',
      '/admin/decisions',
      '/admin/decisions/{id}',
      '/admin/explain',
      '/admin/keys',
      '/admin/keys/{id}',
      '/admin/keys/{id}/rotate',
      '/admin/ledger/verify',
      '/admin/limits',
      '/admin/login',
      '/admin/login/oidc',
      '/admin/login/oidc/callback',
      '/admin/organisations',
      '/admin/organisations/{id}',
      '/admin/overflow_provider',
      '/admin/overflow_provider/{name}',
      '/admin/prices',
      '/admin/projects',
      '/admin/projects/{id}',
      '/admin/providers',
      '/admin/providers/{name}',
      '/admin/reload',
      '/admin/routes',
      '/admin/routes/{name}',
      '/admin/secrets/rotate',
      '/admin/session',
      '/admin/session/password',
      '/admin/status',
      '/admin/tokens',
      '/admin/tokens/{id}',
      '/admin/usage',
      '/admin/usage/export',
      '/admin/users',
      '/admin/users/{id}',
      '/health',
      '/metrics',
      '/ready',
      '/v1/chat/completions',
      '/v1/models',
      '/v1/models/{id}',
    ]);
    for (const [, name = ''] of text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      expect(Object.keys(document.components.schemas)).toContain(name);
    }
  });

  test('says which values the limit for the first token may have', async () => {
    const { paths } = await (await call('/openapi.json')).json();
    const limit = paths['/v1/chat/completions'].post.parameters.find(
      ({ name }: { name: string }) => name === 'x-swarmrouter-max-first-token-ms',
    );
    expect(limit.schema).toMatchObject({ type: 'integer', minimum: 1, maximum: 3_600_000 });
  });

  test('says of each operation under /admin that it needs the admin key', async () => {
    const { paths } = await (await call('/openapi.json')).json();
    const operations = Object.entries(paths).filter(([path]) => path.startsWith('/admin/') && !LOGIN.includes(path));
    for (const [, item] of operations) {
      for (const operation of Object.values(item as Record<string, { security: unknown }>)) {
        expect(operation.security).toEqual([{ adminKey: [] }]);
      }
    }
  });
});

test('nothing is open to everybody but the pages, the OpenAPI document, and how people log in', async () => {
  const open: string[] = [];
  for (const { method, path } of buildAdminApp(ports).routes) {
    if (method === 'ALL') continue;
    const reply = await call(path.replaceAll(/:\w+/g, 'x'), { method, redirect: 'manual' });
    if (reply.status !== 401) open.push(`${method} ${path}`);
  }
  expect([...new Set(open)].sort()).toEqual([...PUBLIC.map((path) => `GET ${path}`), 'POST /admin/login'].sort());
});

describe.each(['/docs', '/login'])('S-17 the page %s', (path) => {
  test('loads only what this server gives, under a policy that allows nothing else', async () => {
    const reply = await call(path);
    const html = await reply.text();
    expect(reply.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    expect(reply.headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'.*require-trusted-types-for/);
    for (const [, link = ''] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const asset = await call(link);
      expect(asset.status).toBe(200);
      expect((await asset.text()).length).toBeGreaterThan(500);
    }
    expect(html).not.toMatch(/https?:\/\/|<script>|style=|onclick/);
  });

  test('has types that a browser accepts under nosniff', async () => {
    expect((await call(`${path}/app.js`)).headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect((await call(`${path}/style.css`)).headers.get('content-type')).toBe('text/css; charset=utf-8');
    expect((await call(path)).headers.get('x-content-type-options')).toBe('nosniff');
  });
});
