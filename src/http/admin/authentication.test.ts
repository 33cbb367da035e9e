import { describe, expect, test } from 'bun:test';
import { TooManyUnknownCredentials } from '../../core/credential-flood.ts';
import { StoreUnavailable } from '../../core/ledger.ts';
import { ADMIN_KEY_PRINCIPAL, type Principal } from '../../core/principal.ts';
import { adminPorts } from './admin-fixture.ts';
import { buildAdminApp } from './app.ts';

const owner: Principal = { ...ADMIN_KEY_PRINCIPAL, kind: 'user', id: 'usr_1', name: 'olga' };
const TOKEN = { authorization: 'Bearer some-token' };
const COOKIE = { cookie: 'theme=dark; swarmrouter-session=abc' };

/** A control plane behind a store that answers for every credential as it is told. */
function behind(answer: () => Promise<Principal | null>, path = '/admin/status') {
  const lookedUp: string[] = [];
  const refused: unknown[] = [];
  const lookUp = (text: string) => {
    lookedUp.push(text);
    return answer();
  };
  const principals = { ofToken: lookUp, ofSession: lookUp, hasOrganisation: async () => false };
  const app = buildAdminApp(
    adminPorts({ principals, loopback: true, refusedLogin: (from) => void refused.push(from) }),
  );
  const statusOf = async (headers: Record<string, string>) =>
    (await app.fetch(new Request(`http://localhost${path}`, { headers }))).status;
  return { statusOf, lookedUp, refused };
}

describe('whoever asks for something of the control plane', () => {
  test('is looked up by the session’s own cookie alone, and by none when there is no such cookie', async () => {
    const { statusOf, lookedUp } = behind(async () => owner);
    const others = ['', 'swarmrouter-session', 'swarmrouter-login=abc', 'x-swarmrouter-session=abc', 'swarmrouter=abc'];
    expect(await statusOf({})).toBe(401);
    for (const cookie of others) expect([cookie, await statusOf({ cookie })]).toEqual([cookie, 401]);
    expect(lookedUp).toEqual([]);
    expect(await statusOf(COOKIE)).toBe(200);
    expect(lookedUp).toEqual(['abc']);
  });

  test('may name the organisation that they are of, and no other unless they look after all of them', async () => {
    const member = { ...owner, organisationId: 'acme', grants: [{ role: 'member', projectId: null }] } as const;
    const { statusOf } = behind(async () => member, '/admin/session');
    const named = (organisation: string) => statusOf({ ...TOKEN, 'x-swarmrouter-organisation': organisation });
    expect([await named('acme'), await named('other'), await named('')]).toEqual([200, 404, 404]);
  });

  test('is told of a flood only when there is one: a store that fails is not their doing, and is no refused login', async () => {
    const answers: readonly (readonly [Error, number])[] = [
      [new TooManyUnknownCredentials(1_500), 429],
      [new StoreUnavailable('locked', 'the store is locked'), 503],
      [new Error('a defect'), 500],
    ];
    for (const [error, status] of answers) {
      for (const headers of [TOKEN, COOKIE]) {
        const { statusOf, refused } = behind(() => Promise.reject(error));
        expect([error.name, await statusOf(headers)]).toEqual([error.name, status]);
        expect(refused).toHaveLength(status === 429 ? 1 : 0);
      }
    }
  });
});
