import { afterEach, describe, expect, test } from 'bun:test';
import { startIdentityProvider } from '../../test/support/identity-provider.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { OidcSettings } from '../core/oidc.ts';
import { newTicket, secretsOf } from './login-ticket.ts';
import { OidcFault } from './oidc-fault.ts';
import { OidcProvider, type ProviderFetch } from './oidc-provider.ts';

const providers: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const provider of providers.splice(0)) await provider.stop();
});

const REDIRECT_URL = 'http://127.0.0.1:1/admin/login/oidc/callback';
const DISCOVERY = '/.well-known/openid-configuration';
const PAUSE_MS = 30_000;
const HOUR_MS = 3_600_000;
const note = (): void => undefined;
const secrets = secretsOf(newTicket(0, '/'));

async function started(timeoutMs = 5_000) {
  const idp = await startIdentityProvider();
  providers.push(idp);
  await idp.register(REDIRECT_URL);
  const settings: OidcSettings = {
    ...{ issuer: idp.issuer, clientId: 'router', clientSecret: null, scopes: 'openid', roles: [] },
    nameClaim: 'name',
  };
  const clock = new ManualClock();
  const warnings: string[] = [];
  const warn = (_: object, message: string): void => void warnings.push(message);
  const logger = { debug: note, info: note, warn, error: note };
  const provider = new OidcProvider({ settings, fetch: fetch as unknown as ProviderFetch, clock, logger, timeoutMs });
  const discoveries = () => idp.asked.filter((path) => path === DISCOVERY).length;
  const kindOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'fine',
      (error: unknown) => (error instanceof OidcFault ? error.kind : String(error)),
    );
  const login = () => provider.loginUrl(REDIRECT_URL, secrets);
  /** Until the provider may be asked again. */
  const waitMs = () => login().catch((error: OidcFault) => error.retryAfterMs);
  return { idp, provider, clock, discoveries, warnings, waitMs, begin: () => kindOf(login()) };
}

describe('what a provider says of itself', () => {
  test('is asked for once, however many log in at once, and again after an hour', async () => {
    const { begin, clock, discoveries } = await started();
    expect(discoveries()).toBe(0);
    expect(await Promise.all([begin(), begin(), begin()])).toEqual(['fine', 'fine', 'fine']);
    await clock.advance(HOUR_MS - 1);
    expect([await begin(), discoveries()]).toEqual(['fine', 1]);
    await clock.advance(1);
    expect([await begin(), discoveries()]).toEqual(['fine', 2]);
  });

  test('goes on to count while it does not answer, and is renewed when it is back', async () => {
    const { idp, begin, clock, discoveries } = await started();
    await begin();
    await clock.advance(HOUR_MS);
    idp.breakDown = (_, response) => {
      response.writeHead(500).end();
      return true;
    };
    expect([await begin(), discoveries()]).toEqual(['fine', 2]);
    idp.breakDown = null;
    await clock.advance(PAUSE_MS);
    expect([await begin(), discoveries()]).toEqual(['fine', 3]);
    expect([await begin(), discoveries()]).toEqual(['fine', 3]);
  });

  test.each([
    ['an error', (response: import('node:http').ServerResponse) => response.writeHead(500).end()],
    ['a page', (response: import('node:http').ServerResponse) => response.writeHead(200).end('<html>')],
    ['a redirect', (response: import('node:http').ServerResponse) => response.writeHead(302, { location: '/x' }).end()],
    ['nothing', () => undefined],
  ])('is not there when it answers with %s, and is asked anew half a minute later, not before', async (_, answer) => {
    const { idp, begin, clock, discoveries, warnings, waitMs } = await started(200);
    idp.breakDown = (_request, response) => {
      answer(response);
      return true;
    };
    expect(await Promise.all([begin(), begin(), begin()])).toEqual(['unavailable', 'unavailable', 'unavailable']);
    await clock.advance(PAUSE_MS - 1);
    expect([await begin(), discoveries(), warnings.length]).toEqual(['unavailable', 1, 1]);
    expect(await waitMs()).toBe(1);
    idp.breakDown = null;
    await clock.advance(1);
    expect(await begin()).toBe('fine');
  });
});
