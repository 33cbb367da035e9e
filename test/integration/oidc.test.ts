import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test';
import type { Config } from '../../src/config/config.ts';
import { DEFAULT_ORGANISATION } from '../../src/core/caller.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { RoleRule } from '../../src/core/oidc.ts';
import type { Role } from '../../src/core/permissions.ts';
import { Secret } from '../../src/core/secret.ts';
import { systemClock } from '../../src/system-clock.ts';
import { TestBrowser } from '../support/browser.ts';
import type { TestGateway } from '../support/gateway.ts';
import {
  CLIENT,
  type IdentityProvider,
  newSigningKey,
  type ProviderOptions,
  startIdentityProvider,
  type TokenParts,
} from '../support/identity-provider.ts';
import { runningParts } from '../support/running.ts';

const { gateway } = runningParts();
const providers: IdentityProvider[] = [];
afterEach(async () => {
  for (const provider of providers.splice(0)) await provider.stop();
});

// A provider that makes keys for itself, and passwords, take what they are made to take.
setDefaultTimeout(30_000);

const BEGIN = '/admin/login/oidc';
const CALLBACK = '/admin/login/oidc/callback';
const SESSION = 'swarmrouter-session';
const TICKET = 'swarmrouter-login';

const rule = (claim: string, value: string, role: Role, projectId: string | null = null): RoleRule => ({
  ...{ claim, value },
  grant: { role, projectId },
});

interface Given extends ProviderOptions {
  readonly roles?: readonly RoleRule[];
  readonly config?: Partial<Config> & { readonly clock?: Clock };
}

/** A gateway whose people log in at a provider of their own; Ann is of the platform team there. */
async function started({ roles, config = {}, ...options }: Given = {}) {
  const idp = await startIdentityProvider(options);
  providers.push(idp);
  idp.people.set('ann-1', { preferred_username: 'ann', groups: ['platform', 'all'] });
  idp.logsIn = 'ann-1';
  const on = await gateway([], { ...settingsOf(idp.issuer, roles), ...config });
  await idp.register(`${on.url}${CALLBACK}`);
  return { idp, on };
}

function settingsOf(issuer: string, roles: readonly RoleRule[] = [rule('groups', 'platform', 'admin')]) {
  return {
    oidc: {
      ...{ issuer, clientId: CLIENT.clientId, clientSecret: new Secret(CLIENT.clientSecret) },
      ...{ scopes: 'openid profile', nameClaim: 'preferred_username', roles },
    },
  };
}

/** To the page where the login ends. */
const logIn = (on: TestGateway, browser: TestBrowser, query = '') => browser.open(`${on.url}${BEGIN}${query}`);

/** Up to the address that the provider sends the browser back to, which is not opened. */
async function comeBack(on: TestGateway, browser: TestBrowser, from: string | URL = `${on.url}${BEGIN}`): Promise<URL> {
  const { next } = await browser.open(from, (url) => url.origin === on.url && url.pathname === CALLBACK);
  if (next === null) throw new Error('the provider sent nobody back');
  return next;
}

const asJson = { accept: 'application/json' };
const whoIs = async (on: TestGateway, browser: TestBrowser) => {
  const { status, text } = await browser.step(`${on.url}/admin/session`, { headers: asJson });
  return { status, ...JSON.parse(text) };
};
const refusalOf = ({ status, text }: { status: number; text: string }) => [status, JSON.parse(text).error.code];

async function asAdmin(on: TestGateway, path: string, method = 'GET', body?: object) {
  const response = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${on.adminKey}`, 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}
const usersOf = async (on: TestGateway) => (await asAdmin(on, '/admin/users')).body.users;

interface Entry {
  readonly action: string;
  readonly outcome: string;
  readonly actor: { readonly kind: string };
  readonly after: { readonly reason?: string } | null;
}
/** Refusals go on record while nobody waits for them. */
async function entriesOf(on: TestGateway, isThere: (entries: readonly Entry[]) => boolean): Promise<readonly Entry[]> {
  for (let tries = 0; ; tries++) {
    const { entries } = (await asAdmin(on, '/admin/audit')).body;
    if (isThere(entries) || tries > 100) return entries;
    await Bun.sleep(20);
  }
}
const refusedWith = (reason: string) => (entries: readonly Entry[]) =>
  entries.some(
    ({ action, outcome, after }) => action === 'session.login' && outcome === 'refused' && after?.reason === reason,
  );

describe('somebody of the identity provider', () => {
  test('logs in there and is here as what their claims say, on record', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    const end = await logIn(on, ann);
    expect([end.status, end.url.href]).toEqual([200, `${on.url}/login`]);
    expect(await whoIs(on, ann)).toMatchObject({
      ...{ status: 200, kind: 'user', name: 'ann', organisation: DEFAULT_ORGANISATION, login_method: 'oidc' },
      grants: [{ role: 'admin', project: null }],
    });
    expect((await ann.step(`${on.url}/admin/keys`, { headers: asJson })).status).toBe(200);
    expect(await usersOf(on)).toMatchObject([{ name: 'ann', oidc: { issuer: idp.issuer, subject: 'ann-1' } }]);
    const entries = await entriesOf(on, (all) => all.length > 1);
    expect(entries.map(({ action, actor }) => `${actor.kind} ${action}`)).toEqual([
      'user session.login',
      'system user.create',
    ]);
    expect(entries[0]?.after).toEqual({ method: 'oidc' } as object);
  });

  test('gets cookies that no script reads, one for the login alone and one for the session', async () => {
    const { on } = await started();
    const ann = new TestBrowser();
    const begun = await ann.step(`${on.url}${BEGIN}`);
    const [ticket = '', ...others] = begun.headers.getSetCookie();
    expect([begun.status, others]).toEqual([303, []]);
    for (const part of [`${TICKET}=`, '; Path=/', '; HttpOnly', '; SameSite=Lax', '; Max-Age=600'])
      expect(ticket).toContain(part);
    const provider = new URL(begun.headers.get('location') ?? '');
    const { state = '', nonce = '', code_challenge_method, response_type } = Object.fromEntries(provider.searchParams);
    expect([code_challenge_method, response_type]).toEqual(['S256', 'code']);
    expect([state.length, nonce.length, state === nonce, ticket.includes(state)]).toEqual([43, 43, false, false]);
    const end = await ann.step(await comeBack(on, ann));
    const [session = '', gone = ''] = end.headers.getSetCookie();
    for (const part of [`${SESSION}=`, '; HttpOnly', '; SameSite=Strict', '; Path=/']) expect(session).toContain(part);
    expect(gone).toContain(`${TICKET}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`);
    expect(end.headers.get('cache-control')).toBe('no-store');
  });

  test('gets cookies for this host and TLS alone where browsers come over TLS', async () => {
    const { idp } = await started();
    const publicUrl = 'https://ai.example.com';
    const on = await gateway([], { ...settingsOf(idp.issuer), publicUrl });
    // As the proxy passes it on, which is allowed for it.
    const headers = { host: 'ai.example.com' };
    const begun = await new TestBrowser().step(`${on.url}${BEGIN}`, { headers });
    expect(begun.headers.get('set-cookie')).toMatch(
      /^__Host-swarmrouter-login=.*; Path=\/; HttpOnly; SameSite=Lax; Secure;/,
    );
    const { searchParams } = new URL(begun.headers.get('location') ?? '');
    expect(searchParams.get('redirect_uri')).toBe(`https://ai.example.com${CALLBACK}`);
  });

  test('is the same person whatever they are called, and nobody else who is called so', async () => {
    const { on, idp } = await started();
    const password = 'correct horse battery';
    await asAdmin(on, '/admin/users', 'POST', { name: 'ann', password, grants: [{ role: 'owner' }] });
    await logIn(on, new TestBrowser());
    idp.people.set('ann-1', { preferred_username: 'ann.smith', groups: ['platform'], email: 'a@example.com' });
    const later = new TestBrowser();
    await logIn(on, later);
    idp.people.set('eve-2', { preferred_username: 'ann', groups: ['platform'], email: 'a@example.com' });
    idp.logsIn = 'eve-2';
    await logIn(on, new TestBrowser());
    const users: { name: string; oidc: { subject: string } | null; grants: { role: string }[] }[] = await usersOf(on);
    expect(users.map(({ name, oidc, grants }) => [name, oidc?.subject ?? null, grants[0]?.role ?? ''])).toEqual([
      ['ann', null, 'owner'],
      ['ann.smith', 'ann-1', 'admin'],
      ['ann', 'eve-2', 'admin'],
    ]);
    expect((await whoIs(on, later)).name).toBe('ann.smith');
  });

  test('has the roles of their latest login, and no session with those before', async () => {
    const roles = [
      rule('groups', 'platform', 'admin'),
      rule('groups', 'all', 'member'),
      rule('groups', 'web', 'admin', 'web'),
    ];
    const { on, idp } = await started({ roles });
    await asAdmin(on, '/admin/projects', 'POST', { id: 'web' });
    const [before, after] = [new TestBrowser(), new TestBrowser()];
    await logIn(on, before);
    expect((await whoIs(on, before)).grants.map(({ role }: { role: string }) => role)).toEqual(['admin', 'member']);
    const same = new TestBrowser();
    await logIn(on, same);
    expect((await whoIs(on, before)).status).toBe(200);
    idp.people.set('ann-1', { preferred_username: 'ann', groups: ['all', 'web'] });
    await logIn(on, after);
    expect((await whoIs(on, after)).grants).toEqual([
      { role: 'member', project: null },
      { role: 'admin', project: 'web' },
    ]);
    expect([(await whoIs(on, before)).status, (await whoIs(on, same)).status]).toEqual([401, 401]);
  });

  test('without a role is told so, is nobody here, and loses what they had', async () => {
    const roles = [rule('groups', 'platform', 'admin'), rule('groups', 'lost', 'member', 'no-such-project')];
    const { on, idp } = await started({ roles });
    idp.people.set('bob-3', { preferred_username: 'bob <b>', groups: ['lost'] });
    idp.logsIn = 'bob-3';
    const page = await logIn(on, new TestBrowser());
    expect([page.status, page.headers.get('content-type')]).toEqual([403, 'text/html; charset=utf-8']);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page.text).toContain('known as &quot;bob &lt;b&gt;&quot;, but nothing');
    expect(await usersOf(on)).toEqual([]);
    expect(refusedWith('no_role')(await entriesOf(on, refusedWith('no_role')))).toBe(true);

    idp.logsIn = 'ann-1';
    const ann = new TestBrowser();
    await logIn(on, ann);
    idp.people.set('ann-1', { preferred_username: 'ann' });
    const other = new TestBrowser();
    const refused = await other.step(await comeBack(on, other), { headers: asJson });
    expect(refusalOf(refused)).toEqual([403, 'oidc_no_role']);
    expect(other.cookie(on.url, SESSION)).toBeNull();
    expect((await whoIs(on, ann)).status).toBe(401);
    expect(await usersOf(on)).toMatchObject([{ name: 'ann', grants: [] }]);
  });

  test('has no password here, gets none, and is shut out by an admin at once', async () => {
    const { on } = await started();
    const ann = new TestBrowser();
    await logIn(on, ann);
    const [{ id }] = await usersOf(on);
    for (const password of ['', 'none', 'correct horse battery']) {
      const body = { name: 'ann', password };
      expect((await ann.step(`${on.url}/admin/login`, { method: 'POST', body })).status).not.toBe(200);
    }
    for (const change of [{ password: 'correct horse battery' }, { grants: [{ role: 'owner' }] }]) {
      const { status, body } = await asAdmin(on, `/admin/users/${id}`, 'PATCH', change);
      expect([status, body.error.code]).toEqual([409, 'user_of_identity_provider']);
    }
    const body = { current_password: 'x', new_password: 'correct horse battery' };
    const own = await ann.step(`${on.url}/admin/session/password`, { method: 'POST', body });
    expect(refusalOf(own)).toEqual([403, 'no_password']);
    await asAdmin(on, `/admin/users/${id}`, 'PATCH', { disabled: true });
    expect((await whoIs(on, ann)).status).toBe(401);
    const back = await comeBack(on, ann);
    expect(refusalOf(await ann.step(back, { headers: asJson }))).toEqual([403, 'user_disabled']);
    await asAdmin(on, `/admin/users/${id}`, 'PATCH', { disabled: false });
    expect((await logIn(on, ann)).status).toBe(200);
  });

  test('logs out here, and is told where to log out there', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    await logIn(on, ann);
    const out = await ann.step(`${on.url}/admin/session`, { method: 'DELETE', headers: asJson });
    expect(JSON.parse(out.text)).toEqual({
      logged_out: true,
      provider_logout_url: `${idp.issuer}/session/end?client_id=${CLIENT.clientId}`,
    });
    expect((await whoIs(on, ann)).status).toBe(401);
  });

  test('is asked for what their token does not say, and may have their roles deep in a claim', async () => {
    const roles = [rule('realm_access.roles', 'router-admin', 'admin'), rule('email', 'ann@example.com', 'auditor')];
    const { on, idp } = await started({ thinTokens: true, authMethod: 'client_secret_post', roles });
    const claims = { preferred_username: 'ann', realm_access: { roles: ['router-admin'] }, email: 'ann@example.com' };
    idp.people.set('ann-1', claims);
    const ann = new TestBrowser();
    await logIn(on, ann);
    const rolesOf = async () => (await whoIs(on, ann)).grants.map(({ role }: { role: string }) => role);
    // Whoever may write any address into their account must not get what it gives.
    expect(await rolesOf()).toEqual(['admin']);
    idp.people.set('ann-1', { ...claims, email_verified: true });
    await logIn(on, ann);
    expect(await rolesOf()).toEqual(['admin', 'auditor']);
  });
});

describe('an answer that is not of the login that the browser began', () => {
  test('with another state, or none, is refused, and nothing is asked of the provider', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    const back = await comeBack(on, ann);
    const asked = idp.asked.length;
    for (const change of [
      (url: URL) => url.searchParams.set('state', 'x'.repeat(43)),
      (url: URL) => url.searchParams.delete('state'),
    ]) {
      const wrong = new URL(back);
      change(wrong);
      expect(refusalOf(await ann.step(wrong, { headers: asJson }))).toEqual([400, 'oidc_response_invalid']);
    }
    expect(idp.asked.length).toBe(asked);
    expect(refusedWith('response')(await entriesOf(on, refusedWith('response')))).toBe(true);
    // The login itself is not spent by it.
    expect((await ann.step(back)).status).toBe(303);
  });

  test('is refused in a browser that began none, with a ticket that somebody made or changed, and after ten minutes', async () => {
    let aheadMs = 0;
    const clock: Clock = {
      ...systemClock,
      wallMs: () => systemClock.wallMs() + aheadMs,
      nowMs: () => systemClock.nowMs(),
      after: (ms, run) => systemClock.after(ms, run),
    };
    const { on } = await started({ config: { clock } });
    const ann = new TestBrowser();
    const back = await comeBack(on, ann);
    const noTicket = [400, 'oidc_login_not_begun'];
    expect(refusalOf(await new TestBrowser().step(back, { headers: asJson }))).toEqual(noTicket);
    const ticket = ann.cookie(on.url, TICKET) ?? '';
    const [secret, begunAt, path, mac] = ticket.split('.');
    const evil = Buffer.from('https://evil.example/').toString('base64url');
    for (const made of [
      [secret, begunAt, evil, mac],
      [secret, 'zzzzzzzz', path, mac],
      [secret, begunAt, path, ''],
      [secret, begunAt, path],
    ]) {
      ann.setCookie(on.url, TICKET, made.join('.'));
      expect(refusalOf(await ann.step(back, { headers: asJson }))).toEqual(noTicket);
    }
    ann.setCookie(on.url, TICKET, ticket);
    aheadMs = 10 * 60_000;
    expect(refusalOf(await ann.step(back, { headers: asJson }))).toEqual(noTicket);
    aheadMs = 9 * 60_000;
    expect((await ann.step(back)).status).toBe(303);
  });

  test('that was used before is refused, with its old code and with a new one', async () => {
    const { on } = await started();
    const ann = new TestBrowser();
    const begun = await ann.step(`${on.url}${BEGIN}`);
    const atProvider = begun.headers.get('location') ?? '';
    const ticket = ann.cookie(on.url, TICKET) ?? '';
    const back = await comeBack(on, ann, atProvider);
    expect((await ann.step(back)).status).toBe(303);
    expect(refusalOf(await ann.step(back, { headers: asJson }))).toEqual([400, 'oidc_login_not_begun']);
    // Whoever kept the cookie has the same state, nonce and verifier once more.
    ann.setCookie(on.url, TICKET, ticket);
    expect(refusalOf(await ann.step(back, { headers: asJson }))).toEqual([401, 'oidc_code_refused']);
    ann.setCookie(on.url, TICKET, ticket);
    const again = await comeBack(on, ann, atProvider);
    expect(again.searchParams.get('code')).not.toBe(back.searchParams.get('code'));
    expect(refusalOf(await ann.step(again, { headers: asJson }))).toEqual([400, 'oidc_login_spent']);
    const entries = await entriesOf(on, refusedWith('replayed'));
    expect(entries.filter(({ action, outcome }) => action === 'session.login' && outcome === 'allowed')).toHaveLength(
      1,
    );
  });

  test('with the code of another browser is refused: it fits no other verifier', async () => {
    const { on } = await started();
    const [ann, thief] = [new TestBrowser(), new TestBrowser()];
    const stolen = await comeBack(on, ann);
    const own = await comeBack(on, thief);
    own.searchParams.set('code', stolen.searchParams.get('code') ?? '');
    expect(refusalOf(await thief.step(own, { headers: asJson }))).toEqual([401, 'oidc_code_refused']);
  });

  test('of another issuer, or of none where the provider names itself, is refused before its code is sent anywhere', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    const back = await comeBack(on, ann);
    expect(back.searchParams.get('iss')).toBe(idp.issuer);
    const asked = idp.asked.length;
    for (const issuer of ['https://evil.example', `${idp.issuer}/`, null]) {
      const mixedUp = new URL(back);
      if (issuer === null) mixedUp.searchParams.delete('iss');
      else mixedUp.searchParams.set('iss', issuer);
      expect(refusalOf(await ann.step(mixedUp, { headers: asJson }))).toEqual([400, 'oidc_response_invalid']);
    }
    expect(idp.asked.length).toBe(asked);
  });

  test('that says no lets nobody in', async () => {
    const { on } = await started();
    const ann = new TestBrowser();
    const back = await comeBack(on, ann);
    back.searchParams.delete('code');
    back.searchParams.set('error', 'access_denied');
    back.searchParams.set('error_description', '<script>alert(1)</script>');
    const page = await ann.step(back);
    expect([page.status, page.text.includes('alert(1)')]).toEqual([403, false]);
    expect(ann.cookie(on.url, SESSION)).toBeNull();
  });
});

describe('a token that is not one to trust', () => {
  const other = newSigningKey().privateKey;
  const nowS = Math.floor(Date.now() / 1_000);
  const cases: Readonly<Record<string, (parts: TokenParts) => void>> = {
    'of another login (nonce)': ({ claims }) => {
      claims['nonce'] = 'n'.repeat(43);
    },
    'of no login (no nonce)': ({ claims }) => void delete claims['nonce'],
    'signed by another key': (parts) => {
      parts.key = other;
    },
    'signed by nobody': (parts) => {
      parts.header['alg'] = 'none';
      parts.key = null;
    },
    'with an empty signature': (parts) => {
      parts.key = null;
    },
    'for another client': ({ claims }) => {
      claims['aud'] = 'somebody-else';
    },
    'for several clients, given to another': ({ claims }) =>
      void Object.assign(claims, { aud: [CLIENT.clientId, 'b'], azp: 'b' }),
    'that has expired': ({ claims }) => void Object.assign(claims, { iat: nowS - 900, exp: nowS - 120 }),
    'that never expires': ({ claims }) => void delete claims['exp'],
    'that is not valid yet': ({ claims }) => {
      claims['nbf'] = nowS + 600;
    },
    'of another issuer': ({ claims }) => {
      claims['iss'] = 'https://evil.example';
    },
    'of nobody': ({ claims }) => void delete claims['sub'],
  };

  test.each(Object.entries(cases))('%s lets nobody in', async (_, spoil) => {
    const { on, idp } = await started();
    idp.spoilToken = spoil;
    const ann = new TestBrowser();
    const end = await ann.step(await comeBack(on, ann), { headers: asJson });
    expect([400, 401]).toContain(end.status);
    expect(['oidc_token_refused', 'oidc_response_invalid']).toContain(JSON.parse(end.text).error.code);
    expect([ann.cookie(on.url, SESSION), await usersOf(on)]).toEqual([null, []]);
    const entries = await entriesOf(on, ({ length }) => length > 0);
    expect(entries).toMatchObject([{ action: 'session.login', outcome: 'refused', actor: { kind: 'anyone' } }]);
  });

  test('is one whose clock is a minute off, and not more', async () => {
    const { on, idp } = await started();
    idp.spoilToken = ({ claims }) => void Object.assign(claims, { exp: Math.floor(Date.now() / 1_000) - 30 });
    expect((await logIn(on, new TestBrowser())).status).toBe(200);
    idp.spoilToken = ({ claims }) => void Object.assign(claims, { exp: Math.floor(Date.now() / 1_000) - 90 });
    expect((await logIn(on, new TestBrowser())).status).toBe(401);
  });
});

describe('a provider in trouble', () => {
  test('that is down is told of as such, before and after the login there, and everything else goes on', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    const back = await comeBack(on, ann);
    idp.breakDown = (_, response) => {
      response.writeHead(502).end('<html>');
      return true;
    };
    const refused = await ann.step(back, { headers: asJson });
    expect([...refusalOf(refused), refused.headers.get('retry-after')]).toEqual([503, 'oidc_unavailable', '5']);
    expect((await fetch(`${on.url}/health`)).status).toBe(200);
    // What is known of it is kept: it is asked again when it is back.
    idp.breakDown = null;
    expect((await ann.step(back)).status).toBe(303);
  });

  test('that was never there keeps nobody from starting, nor from logging in with a password', async () => {
    const on = await gateway([], settingsOf('http://127.0.0.1:9'));
    const password = 'correct horse battery';
    await asAdmin(on, '/admin/users', 'POST', { name: 'ann', password, grants: [{ role: 'owner' }] });
    const ann = new TestBrowser();
    const begun = await ann.step(`${on.url}${BEGIN}`, { headers: asJson });
    // So long nobody asks it again.
    expect([...refusalOf(begun), begun.headers.get('retry-after')]).toEqual([503, 'oidc_unavailable', '30']);
    expect((await ann.step(`${on.url}${BEGIN}`)).text).toContain('does not answer');
    expect((await ann.step(`${on.url}/admin/login`, { method: 'POST', body: { name: 'ann', password } })).status).toBe(
      200,
    );
    expect(refusedWith('unavailable')(await entriesOf(on, refusedWith('unavailable')))).toBe(true);
  });

  test('whose keys or endpoints lead to a metadata service, or back to the gateway, is not followed there', async () => {
    const { on, idp } = await started();
    const honest = await (await fetch(`${idp.issuer}/.well-known/openid-configuration`)).json();
    const forbidden = {
      'http://169.254.169.254/token': 'is a cloud metadata service, which is never called',
      [`${on.url}/v1/models`]: 'is this gateway itself',
    };
    for (const [endpoint, why] of Object.entries(forbidden)) {
      const fresh = await gateway([], { ...settingsOf(idp.issuer), logLevel: 'warn' });
      const own = endpoint.replace(on.url, fresh.url);
      await idp.register(`${fresh.url}${CALLBACK}`);
      idp.breakDown = ({ url }, response) => {
        if (url !== '/.well-known/openid-configuration') return false;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ ...honest, token_endpoint: own }));
        return true;
      };
      const ann = new TestBrowser();
      const end = await ann.step(await comeBack(fresh, ann), { headers: asJson });
      expect(refusalOf(end)).toEqual([503, 'oidc_unavailable']);
      await fresh.gateway.stop(0);
      expect(await Bun.file(`${fresh.dataDir}/log.jsonl`).text()).toContain(why);
    }
  });

  test('is known by what it calls itself to the letter, and the log says how that is written', async () => {
    const { idp } = await started();
    const on = await gateway([], { ...settingsOf(`${idp.issuer}/`), logLevel: 'warn' });
    const begun = await new TestBrowser().step(`${on.url}${BEGIN}`, { headers: asJson });
    expect(refusalOf(begun)).toEqual([503, 'oidc_unavailable']);
    await on.gateway.stop(0);
    expect(await Bun.file(`${on.dataDir}/log.jsonl`).text()).toContain('set SWARMROUTER_OIDC_ISSUER to that');
  });

  test('that calls itself something else is not believed', async () => {
    const { on, idp } = await started();
    const honest = await (await fetch(`${idp.issuer}/.well-known/openid-configuration`)).json();
    idp.breakDown = ({ url }, response) => {
      if (url !== '/.well-known/openid-configuration') return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ ...honest, issuer: 'https://evil.example' }));
      return true;
    };
    const begun = await new TestBrowser().step(`${on.url}${BEGIN}`, { headers: asJson });
    expect(refusalOf(begun)).toEqual([503, 'oidc_unavailable']);
  });
});

describe('after the login', () => {
  test('the browser goes to a path of the gateway', async () => {
    const { on } = await started();
    const ann = new TestBrowser();
    const end = await ann.step(
      await comeBack(on, ann, `${on.url}${BEGIN}?return_to=${encodeURIComponent('/docs?a=b#c')}`),
    );
    expect([end.status, end.headers.get('location')]).toEqual([303, '/docs?a=b#c']);
  });

  const elsewhere = [
    ...[
      'https://evil.example',
      '//evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '/\t/evil.example',
      '/\n/evil.example',
    ],
    ...[
      '/..//evil.example',
      '/.//evil.example',
      '/a/../..//evil.example',
      'javascript:alert(1)',
      'evil.example',
      '',
      ' /docs',
    ],
    ...[
      'http:evil.example',
      '///evil.example',
      '/%2e%2e//evil.example',
      'https:/evil.example',
      '@evil.example',
      '/\u0000/evil',
    ],
  ];
  test.each(elsewhere)('it never goes to %j', async (path) => {
    const on = await gateway([], settingsOf('http://127.0.0.1:9'));
    const begun = await new TestBrowser().step(`${on.url}${BEGIN}?return_to=${encodeURIComponent(path)}`, {
      headers: asJson,
    });
    expect(refusalOf(begun)).toEqual([400, 'invalid_return_to']);
    expect(begun.headers.get('set-cookie')).toBeNull();
  });

  test('whoever logged in before in this browser is logged out', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    await logIn(on, ann);
    const first = ann.cookie(on.url, SESSION) ?? '';
    idp.people.set('bob-3', { preferred_username: 'bob', groups: ['platform'] });
    idp.logsIn = 'bob-3';
    ann.cookies.delete(idp.issuer);
    await logIn(on, ann);
    expect((await whoIs(on, ann)).name).toBe('bob');
    ann.setCookie(on.url, SESSION, first);
    expect((await whoIs(on, ann)).status).toBe(401);
  });
});

describe('a gateway', () => {
  test('takes where browsers come back to from its settings, and from no request but for the loopback name', async () => {
    const { on } = await started({ config: { allowedHosts: ['evil.example'] } });
    const begin = (host: string) =>
      new TestBrowser().step(`${on.url}${BEGIN}`, { headers: { ...asJson, host, 'x-forwarded-host': 'evil.example' } });
    expect(refusalOf(await begin('evil.example'))).toEqual([400, 'public_url_unknown']);
    const { port } = new URL(on.url);
    const provider = new URL((await begin(`localhost:${port}`)).headers.get('location') ?? '');
    expect(provider.searchParams.get('redirect_uri')).toBe(`http://localhost:${port}${CALLBACK}`);
  });

  test('without an identity provider says so, and that there is none', async () => {
    const on = await gateway([]);
    const browser = new TestBrowser();
    expect(JSON.parse((await browser.step(`${on.url}/admin/login`)).text)).toEqual({ password: true, oidc: null });
    for (const path of [BEGIN, CALLBACK]) {
      expect(refusalOf(await browser.step(`${on.url}${path}`, { headers: asJson }))).toEqual([
        404,
        'oidc_not_configured',
      ]);
    }
  });

  test('with one says where, and that it takes passwords too', async () => {
    const { on, idp } = await started();
    const ways = JSON.parse((await new TestBrowser().step(`${on.url}/admin/login`)).text);
    expect(ways).toEqual({ password: true, oidc: { issuer: idp.issuer, url: BEGIN } });
  });

  test('ends what another one on the same store began, once over both', async () => {
    const { on, idp } = await started();
    // A proxy in front of both: each sees whichever request it gets.
    const publicUrl = 'http://localhost:1';
    const shared = { ...settingsOf(idp.issuer), publicUrl, dataDir: on.dataDir };
    await idp.register(`${publicUrl}${CALLBACK}`);
    const [first, second] = [await gateway([], shared), await gateway([], shared)];
    const ann = new TestBrowser();
    const { next } = await ann.open(`${first.url}${BEGIN}`, ({ origin }) => origin === publicUrl);
    const ticket = ann.cookie(first.url, TICKET) ?? '';
    const endAt = async (at: TestGateway) => {
      ann.setCookie(at.url, TICKET, ticket);
      return ann.step(`${at.url}${CALLBACK}${next?.search ?? ''}`, { headers: asJson });
    };
    expect((await endAt(second)).status).toBe(303);
    expect((await whoIs(second, ann)).name).toBe('ann');
    expect(refusalOf(await endAt(first))).toEqual([401, 'oidc_code_refused']);
    ann.setCookie(first.url, SESSION, ann.cookie(second.url, SESSION) ?? '');
    expect((await whoIs(first, ann)).name).toBe('ann');
  });

  test('that has another provider, or none any more, knows nobody of the old one', async () => {
    const { on, idp } = await started();
    const ann = new TestBrowser();
    await logIn(on, ann);
    const cookie = ann.cookie(on.url, SESSION) ?? '';
    await on.gateway.stop(0);
    const { dataDir } = on;
    for (const [change, status] of [
      [{ oidc: null }, 401],
      [settingsOf('http://127.0.0.1:9'), 401],
      [settingsOf(idp.issuer), 200],
    ] as const) {
      const next = await gateway([], { dataDir, ...change });
      ann.setCookie(next.url, SESSION, cookie);
      expect((await whoIs(next, ann)).status).toBe(status);
      await next.gateway.stop(0);
    }
  });
});
