import { expect, test } from 'bun:test';
import { PeopleDesks } from './people-desks.ts';
import { systemClock } from './system-clock.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

test('what logs people in at a provider is opened again after it could not be', async () => {
  let tries = 0;
  const desks = new PeopleDesks({
    oidc: {
      ...{ issuer: 'https://id.example.com', clientId: 'gateway', clientSecret: null },
      ...{ scopes: 'openid', roles: [], nameClaim: 'name' },
    },
    fetch: () => {
      tries += 1;
      return tries === 1
        ? Promise.reject(new Error('no socket now'))
        : Promise.resolve(() => Promise.reject(new Error('nobody is called here')));
    },
    clock: systemClock,
    logger: quiet,
    open: () => Promise.reject(new Error('nobody logs in here')),
  });
  await expect(desks.oidcLogins()).rejects.toThrow('no socket now');
  expect(await desks.oidcLogins()).not.toBeNull();
  await desks.oidcLogins();
  expect(tries).toBe(2);
});
