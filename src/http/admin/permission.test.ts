import { describe, expect, test } from 'bun:test';
import { OpenAPIHono } from '@hono/zod-openapi';
import { DEFAULT_ORGANISATION } from '../../core/caller.ts';
import { PERMISSIONS, ROLES, reachOf, roleMay, rolesWith } from '../../core/permissions.ts';
import { type Grant, mayGrant, type Principal, scopeOf } from '../../core/principal.ts';
import { ADMIN_KEY, adminPorts } from './admin-fixture.ts';
import { buildAdminApp } from './app.ts';
import { permissionsOf, refuseUnguarded } from './permission.ts';

/** Written down once more on purpose: a route whose permission changes by mistake is seen here. */
const ROUTES: Readonly<Record<string, string>> = {
  'GET /admin/aliases': 'alias:read',
  'GET /admin/aliases/:name': 'alias:read',
  'PUT /admin/aliases/:name': 'alias:write',
  'DELETE /admin/aliases/:name': 'alias:write',
  'GET /admin/audit': 'audit:read',
  'GET /admin/audit/export': 'audit:read',
  'GET /admin/audit/verify': 'audit:read',
  'GET /admin/budgets': 'budget:read',
  'POST /admin/budgets': 'budget:write',
  'GET /admin/budgets/:id': 'budget:read',
  'PATCH /admin/budgets/:id': 'budget:write',
  'DELETE /admin/budgets/:id': 'budget:write',
  'GET /admin/decisions': 'decision:read',
  'GET /admin/decisions/:id': 'decision:read',
  'POST /admin/explain': 'route:explain',
  'GET /admin/keys': 'key:read',
  'POST /admin/keys': 'key:write',
  'GET /admin/keys/:id': 'key:read',
  'PATCH /admin/keys/:id': 'key:write',
  'DELETE /admin/keys/:id': 'key:write',
  'POST /admin/keys/:id/rotate': 'key:write',
  'GET /admin/ledger/verify': 'ledger:verify',
  'GET /admin/limits': 'limit:read',
  'POST /admin/limits': 'limit:write',
  'DELETE /admin/limits': 'limit:write',
  'GET /admin/organisations': 'organisation:read',
  'POST /admin/organisations': 'organisation:write',
  'PATCH /admin/organisations/:id': 'organisation:write',
  'GET /admin/overflow_provider': 'provider:read',
  'POST /admin/overflow_provider': 'provider:write',
  'DELETE /admin/overflow_provider/:name': 'provider:write',
  'GET /admin/prices': 'price:read',
  'POST /admin/prices': 'price:write',
  'DELETE /admin/prices': 'price:write',
  'GET /admin/projects': 'project:read',
  'POST /admin/projects': 'project:write',
  'PATCH /admin/projects/:id': 'project:write',
  'GET /admin/providers': 'provider:read',
  'POST /admin/providers': 'provider:write',
  'GET /admin/providers/:name': 'provider:read',
  'PUT /admin/providers/:name': 'provider:write',
  'PATCH /admin/providers/:name': 'provider:write',
  'DELETE /admin/providers/:name': 'provider:write',
  'POST /admin/reload': 'configuration:reload',
  'GET /admin/routes': 'route:read',
  'GET /admin/routes/:name': 'route:read',
  'PUT /admin/routes/:name': 'route:write',
  'DELETE /admin/routes/:name': 'route:write',
  'POST /admin/secrets/rotate': 'secret:rotate',
  'GET /admin/status': 'status:read',
  'GET /admin/tokens': 'token:read',
  'POST /admin/tokens': 'token:write',
  'DELETE /admin/tokens/:id': 'token:write',
  'GET /admin/usage': 'usage:read',
  'GET /admin/usage/export': 'usage:export',
  'GET /admin/users': 'user:read',
  'POST /admin/users': 'user:write',
  'PATCH /admin/users/:id': 'user:write',
};

/** Open to whoever is somebody. */
const OWN = {
  'GET /admin/session': 'self',
  'DELETE /admin/session': 'self',
  'POST /admin/session/password': 'self',
};

/** Open to everybody: this is how people become somebody. Each is here on purpose. */
const PUBLIC = ['/admin/login', '/admin/login/oidc', '/admin/login/oidc/callback'];

/** What each role may in the whole of the organisation that runs the gateway, likewise. */
const READING =
  'alias:read audit:read budget:read decision:read key:read ledger:verify limit:read organisation:read price:read project:read route:read';
const RIGHTS: Readonly<Record<(typeof ROLES)[number], string>> = {
  owner: PERMISSIONS.join(' '),
  admin: PERMISSIONS.filter((permission) => permission !== 'organisation:write').join(' '),
  operator:
    'alias:read alias:write budget:read configuration:reload decision:read key:read limit:read price:read price:write project:read provider:read provider:write route:explain route:read route:write status:read usage:read',
  auditor: `${READING} provider:read status:read token:read usage:export usage:read user:read`,
  member: 'alias:read budget:read key:read limit:read price:read project:read route:read status:read usage:read',
};

/** How far each reaches, likewise; all others may be held for single projects. */
const OF_THE_GATEWAY =
  'alias:read alias:write route:read route:write status:read decision:read route:explain configuration:reload provider:read provider:write secret:rotate price:read price:write ledger:verify organisation:read organisation:write'.split(
    ' ',
  );
const OF_AN_ORGANISATION = 'project:write audit:read user:read user:write token:read token:write'.split(' ');

function principal(organisationId: string, ...grants: readonly Grant[]): Principal {
  return { kind: 'token', id: 'tok_1', name: 'ci', organisationId, grants };
}

const refusals: string[] = [];
function appFor(someone: Principal | null) {
  return buildAdminApp(
    adminPorts({
      principals: {
        ofToken: async (text) => (text === 'right' ? someone : null),
        ofSession: async () => null,
        hasOrganisation: async () => false,
      },
      refusedPermission: (_who, permission) => void refusals.push(permission),
    }),
  );
}

async function ask(app: ReturnType<typeof buildAdminApp>, route: string, headers: Record<string, string>) {
  const [method = '', path = ''] = route.split(' ');
  const request = new Request(`http://localhost${path.replaceAll(/:\w+/g, 'some-id')}`, { method, headers });
  return app.fetch(request);
}

const asRight = { authorization: 'Bearer right' };

function meantReach(permission: string): ReturnType<typeof reachOf> {
  if (OF_THE_GATEWAY.includes(permission)) return 'gateway';
  return OF_AN_ORGANISATION.includes(permission) ? 'organisation' : 'project';
}

describe('every route of the control plane', () => {
  const app = appFor(null);
  const permissions = permissionsOf(app);

  test('has a permission, and the one that was meant', () => {
    expect(Object.fromEntries(permissions)).toEqual({ ...ROUTES, ...OWN } as never);
  });

  test('says in the OpenAPI document which permission it needs', async () => {
    const document = await (await app.fetch(new Request('http://localhost/openapi.json'))).json();
    for (const [route, permission] of Object.entries(ROUTES)) {
      const [method = '', path = ''] = route.split(' ');
      const operation = document.paths[path.replaceAll(/:(\w+)/g, '{$1}')][method.toLowerCase()];
      expect(`${route} ${operation['x-permission']}`).toBe(`${route} ${permission}`);
    }
  });

  for (const route of Object.keys(ROUTES)) {
    const permission = ROUTES[route] as (typeof PERMISSIONS)[number];
    const holders: Readonly<Record<string, (grant: Grant) => Principal>> = {
      'the whole organisation that runs the gateway': (grant) => principal(DEFAULT_ORGANISATION, grant),
      'one project': (grant) => principal(DEFAULT_ORGANISATION, { ...grant, projectId: 'web' }),
      'another organisation': (grant) => principal('acme', grant),
    };
    for (const [where, holder] of Object.entries(holders)) {
      for (const role of ROLES) {
        const reach = meantReach(permission);
        const inReach =
          where === 'one project' ? reach === 'project' : where === 'another organisation' ? reach !== 'gateway' : true;
        const may = inReach && RIGHTS[role].split(' ').includes(permission);
        test(`${route} is ${may ? 'open' : 'closed'} to a role ${role} in ${where}`, async () => {
          refusals.length = 0;
          const reply = await ask(appFor(holder({ role, projectId: null })), route, asRight);
          expect(reply.status === 403).toBe(!may);
          expect(reply.status).not.toBe(401);
          expect(refusals).toEqual(may ? [] : [permission]);
          if (may) return;
          const { error } = await reply.json();
          expect(error).toMatchObject({ code: 'permission_denied', param: permission });
          for (const holding of rolesWith(permission)) expect(error.message).toContain(holding);
        });
      }
    }

    test(`${route} is closed to nobody's credential, to a client key and to somebody without a role`, async () => {
      const wrong: Record<string, string>[] = [{}, { authorization: 'Bearer wrong' }, { 'x-api-key': 'right' }];
      for (const headers of wrong) {
        expect((await ask(appFor(principal(DEFAULT_ORGANISATION)), route, headers)).status).toBe(401);
      }
      expect((await ask(appFor(principal(DEFAULT_ORGANISATION)), route, asRight)).status).toBe(403);
      expect((await ask(app, route, { authorization: `Bearer ${ADMIN_KEY}` })).status).not.toBe(403);
    });

    test(`${route} without its permission keeps the control plane from starting`, () => {
      const spoilt = appFor(null);
      const of = spoilt.openAPIRegistry.definitions.find(
        (one) => one.type === 'route' && permissionsKey(one.route.method, one.route.path) === route,
      );
      if (of?.type !== 'route') throw new Error(route);
      delete (of.route as { 'x-permission'?: unknown })['x-permission'];
      const isPublic = (path: string) => !path.startsWith('/admin') || PUBLIC.includes(path);
      expect(() => refuseUnguarded(spoilt, isPublic)).toThrow(`routes without a permission: ${route}`);
    });
  }
});

describe('a refusal', () => {
  async function messageFor(who: Principal, route: string): Promise<string> {
    const { error } = await (await ask(appFor(who), route, asRight)).json();
    return error.message;
  }

  test('of a role in a project says that the whole organisation is needed', async () => {
    const message = await messageFor(
      principal(DEFAULT_ORGANISATION, { role: 'admin', projectId: 'web' }, { role: 'member', projectId: 'shop' }),
      'GET /admin/users',
    );
    expect(message).toBe(
      'This needs the permission user:read in the whole organisation; you are only admin in the project "web". Roles that have it: owner, admin, auditor. Ask an owner or admin of your whole organisation.',
    );
  });

  test('of another organisation says that the one that runs the gateway is needed', async () => {
    const message = await messageFor(principal('acme', { role: 'owner', projectId: null }), 'GET /admin/prices');
    expect(message).toContain('in the organisation that runs the gateway, "default"; your request is in "acme".');
    expect(message).toEndWith('Ask whoever runs the gateway.');
  });

  test('of what only an owner may do sends nobody to an admin', async () => {
    const admin = principal(DEFAULT_ORGANISATION, { role: 'admin', projectId: null });
    expect(await messageFor(admin, 'POST /admin/organisations')).toBe(
      'This needs the permission organisation:write, which you do not have. Roles that have it: owner. Ask an owner of your organisation.',
    );
  });

  test('of a role that has it nowhere names the roles that have', async () => {
    const message = await messageFor(
      principal(DEFAULT_ORGANISATION, { role: 'auditor', projectId: null }),
      'POST /admin/keys',
    );
    expect(message).toBe(
      'This needs the permission key:write, which you do not have. Roles that have it: owner, admin. Ask an owner or admin of your organisation.',
    );
  });
});

function permissionsKey(method: string, path: string): string {
  return `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`;
}

describe('a permission', () => {
  test('that is not in the table is nobody’s', () => {
    for (const role of ROLES) {
      for (const name of ['key:delete', '__proto__', 'constructor', ''])
        expect(roleMay(role, name as never)).toBe(false);
    }
  });

  test('reaches as far as was meant', () => {
    for (const permission of PERMISSIONS)
      expect([permission, reachOf(permission)]).toEqual([permission, meantReach(permission)]);
  });

  test('is held by exactly the roles that were meant', () => {
    for (const role of ROLES) {
      const held = PERMISSIONS.filter((permission) => roleMay(role, permission));
      expect(held.toSorted()).toEqual(RIGHTS[role].split(' ').toSorted() as never);
    }
  });

  test('of a project is held in the projects of all grants together, and of an organisation in none of them', () => {
    const both = principal('acme', { role: 'admin', projectId: 'web' }, { role: 'member', projectId: 'shop' });
    expect(scopeOf(both, 'key:read')).toEqual(new Set(['web', 'shop']));
    expect(scopeOf(both, 'key:write')).toEqual(new Set(['web']));
    expect(scopeOf(both, 'audit:read')).toEqual(new Set());
    expect(scopeOf(principal('acme', { role: 'owner', projectId: null }), 'provider:write')).toEqual(new Set());
  });
});

describe('a role', () => {
  test('is given only by who has as much there: an admin makes no owner, a project admin nobody elsewhere', () => {
    const admin = principal('acme', { role: 'admin', projectId: null });
    const projectAdmin = principal('acme', { role: 'admin', projectId: 'web' });
    const owner = principal('acme', { role: 'owner', projectId: null });
    expect(mayGrant(owner, { role: 'owner', projectId: null })).toBe(true);
    expect(mayGrant(admin, { role: 'owner', projectId: null })).toBe(false);
    expect(mayGrant(admin, { role: 'admin', projectId: 'web' })).toBe(true);
    expect(mayGrant(projectAdmin, { role: 'member', projectId: 'web' })).toBe(true);
    expect(mayGrant(projectAdmin, { role: 'member', projectId: null })).toBe(false);
    expect(mayGrant(projectAdmin, { role: 'member', projectId: 'shop' })).toBe(false);
    for (const role of ['operator', 'auditor', 'member'] as const) {
      expect(mayGrant(principal('acme', { role, projectId: null }), { role: 'member', projectId: null })).toBe(false);
    }
  });
});

test('a route that nobody gave a permission is refused when the control plane is built', () => {
  const app = new OpenAPIHono();
  app.get('/admin/forgotten', (context) => context.text('open'));
  expect(() => refuseUnguarded(app, () => false)).toThrow('routes without a permission: GET /admin/forgotten');
});
