import { afterEach, describe, expect, test } from 'bun:test';
import { admin, adminCall } from '../support/admin-client.ts';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { type TestGateway, until } from '../support/gateway.ts';
import { type NginxServer, nginxProgram, startNginx } from '../support/nginx-server.ts';
import { talk } from '../support/raw-client.ts';

const parts = faultParts();
const THEIRS = '203.0.113.7';
const OTHERS = '203.0.113.8';

async function behind(trustedProxies: readonly string[], change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm' });
  return await parts.gateway([targetFor(server)], { usage: true, trustedProxies, ...change });
}

/** A credential that opens nothing, as its own words on the wire; the reply's status. */
async function knock({ gateway }: TestGateway, lines: string, path = '/admin/status'): Promise<string> {
  const credential = 'authorization: Bearer none\r\nconnection: close\r\n';
  const client = talk(gateway.port, `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${credential}${lines}\r\n`);
  await client.closed;
  return /HTTP\/1\.1 (\d{3})/.exec(client.received())?.[1] ?? 'none';
}

/** Where the only such entry of the audit log came from. Nobody waits until it is written. */
async function addressOf(on: TestGateway, action: string): Promise<string | null> {
  const entries = async () => (await admin(on, 'GET', `audit?action=${action}`)).body.entries;
  await until('it is on record', async () => (await entries()).length === 1);
  return (await entries())[0].address;
}

describe('S-14 S-19 the address of a client', () => {
  test('is that of its connection, whatever it says, unless proxies are trusted', async () => {
    for (const trusted of [[], ['10.0.0.0/8', '::1']]) {
      const on = await behind(trusted);
      expect(
        await knock(on, `x-forwarded-for: ${THEIRS}\r\nx-real-ip: ${THEIRS}\r\nforwarded: for=${THEIRS}\r\n`),
      ).toBe('401');
      expect(await addressOf(on, 'admin.login')).toBe('127.0.0.1');
    }
  });

  test.each([
    ['the proxy wrote', `x-forwarded-for: ${THEIRS}\r\n`, THEIRS],
    ['the proxy added to what the client wrote', `x-forwarded-for: 127.0.0.1, ${OTHERS}, ${THEIRS}\r\n`, THEIRS],
    ['the proxy wrote in a line of its own', `x-forwarded-for: ${OTHERS}\r\nX-Forwarded-For: ${THEIRS}\r\n`, THEIRS],
    ['two proxies wrote', `x-forwarded-for: ${OTHERS}, ${THEIRS}\r\nx-forwarded-for: 127.0.0.1\r\n`, THEIRS],
    ['is behind what is no address', `x-forwarded-for: ${THEIRS}, unknown, 127.0.0.1\r\n`, '127.0.0.1'],
    ['nobody wrote', '', '127.0.0.1'],
    ['stands in headers that are not read', `x-real-ip: ${THEIRS}\r\nforwarded: for=${THEIRS}\r\n`, '127.0.0.1'],
  ])('is the one that %s', async (_what, lines, address) => {
    const on = await behind(['127.0.0.1']);
    expect(await knock(on, lines)).toBe('401');
    expect(await addressOf(on, 'admin.login')).toBe(address);
  });

  test('is what wrong passwords are counted for: one client behind a proxy does not lock out the others', async () => {
    const on = await behind(['127.0.0.0/8']);
    const login = (from: string, name: string) => {
      const sent = { as: {}, body: { name, password: 'not the password' }, headers: { 'x-forwarded-for': from } };
      return adminCall(on.url, 'POST', '/admin/login', sent);
    };
    const made = await admin(on, 'POST', 'users', {
      name: 'ann',
      password: 'a long enough password',
      grants: [{ role: 'owner' }],
    });
    expect(made.status).toBe(201);
    const tries = await Promise.all(Array.from({ length: 60 }, (_, n) => login(THEIRS, `somebody-${n}`)));
    expect(new Set(tries.map(({ status }) => status))).toEqual(new Set([401, 429]));
    expect((await login(THEIRS, 'ann')).status).toBe(429);
    expect((await login(`${THEIRS}, ${OTHERS}`, 'ann')).status).toBe(401);
  }, 30_000);

  test('is what slow bodies are counted for', async () => {
    const on = await behind(['127.0.0.1'], { bodyTimeoutMs: 3_000, slowBodyLimit: 3 });
    const slow = (from: string) => {
      const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
      return talk(on.gateway.port, `${head}x-forwarded-for: ${from}\r\ncontent-length: 50\r\n\r\n{`);
    };
    const theirs = Array.from({ length: 5 }, () => slow(THEIRS));
    const other = slow(OTHERS);
    await Promise.all([...theirs, other].map(({ closed }) => closed));
    const statuses = theirs.map((client) => client.received().slice(9, 12)).toSorted();
    expect([statuses, other.received().slice(9, 12)]).toEqual([['408', '408', '408', '429', '429'], '408']);
  }, 15_000);

  test('opens no door: who needs a key on a network address needs one behind a proxy that says loopback', async () => {
    const on = await behind(['127.0.0.1'], { host: '0.0.0.0' });
    for (const address of ['127.0.0.1', '::1', 'localhost', THEIRS]) {
      const headers = { 'x-forwarded-for': address };
      expect([
        (await fetch(`${on.url}/v1/models`, { headers })).status,
        (await fetch(`${on.url}/metrics`, { headers })).status,
      ]).toEqual([401, 401]);
    }
  });

  test('opens no door: on loopback a foreign Host and a foreign Origin are refused behind a proxy, too', async () => {
    const on = await behind(['127.0.0.1']);
    const all: Record<string, string>[] = [{ host: 'evil.example' }, { origin: 'http://evil.example' }];
    for (const foreign of all) {
      const headers = { ...foreign, 'x-forwarded-for': '127.0.0.1', 'x-forwarded-host': 'localhost' };
      expect((await fetch(`${on.url}/v1/models`, { headers })).status).toBe(403);
    }
  });
});

const program = nginxProgram();
let nginx: NginxServer | null = null;
afterEach(async () => {
  await nginx?.stop();
  nginx = null;
});

test.skipIf(program === null)(
  'the site for nginx that people are given says who its clients are, and not what they say',
  async () => {
    const on = await behind(['127.0.0.1']);
    await admin(on, 'POST', 'keys', { name: 'ann' });
    nginx = await startNginx(program ?? '', on.gateway.port);
    const headers = { authorization: nginx.credential, 'x-forwarded-for': THEIRS };
    const reply = await fetch(`http://127.0.0.1:${nginx.port}/v1/models`, { headers });
    expect(reply.status).toBe(401);
    expect(await addressOf(on, 'key.use')).toBe('127.0.0.1');
  },
);
