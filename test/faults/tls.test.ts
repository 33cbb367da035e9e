import { afterEach, describe, expect, test } from 'bun:test';
import { createAuthority, createSelfSigned, EXPIRED, type Identity } from '../support/certificates.ts';
import { until } from '../support/gateway.ts';
import { completion } from '../support/raw-server.ts';
import { servedBy } from '../support/running.ts';
import { startedProcesses } from '../support/started-process.ts';

const start = startedProcesses();
const servers: { stop(force: boolean): Promise<void> }[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

const ADMIN_KEY = 'tls-test-admin-key';
const authority = createAuthority();

/** A model server under TLS; `chats` counts what it was asked. Null: it speaks plain HTTP. */
function modelServer(identity: Identity | null) {
  const seen = { chats: 0 };
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    ...(identity === null ? {} : { tls: identity }),
    routes: {
      '/v1/models': () => Response.json({ object: 'list', data: [{ id: 'm', object: 'model' }] }),
      '/v1/chat/completions': () => {
        seen.chats++;
        return new Response(completion('over TLS'), { headers: { 'content-type': 'application/json' } });
      },
    },
    fetch: () => new Response(null, { status: 404 }),
  });
  servers.push(server);
  return { seen, url: `https://localhost:${server.port}/v1` };
}

/** The product in a process of its own, which trusts the test's authority from its start on. */
async function startWith(targets: Readonly<Record<string, string>>) {
  const entries = Object.entries(targets).map(
    ([name, url]) => `  - { name: ${name}, kind: openai-compatible, url: "${url}", place: local }`,
  );
  const { url } = await start(
    { NODE_EXTRA_CA_CERTS: 'authority.pem', SWARMROUTER_ADMIN_KEY: ADMIN_KEY, LMSTUDIO_ENABLED: 'false' },
    {
      'authority.pem': authority.cert,
      ...(entries.length === 0 ? {} : { 'swarmrouter.yaml': `targets:\n${entries.join('\n')}\n` }),
    },
  );
  const address = await url();
  if (entries.length > 0) await until('all were probed', async () => (await fetch(`${address}/ready`)).ok, 10_000);
  const status = await fetch(`${address}/admin/status`, { headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  return { address, status: JSON.stringify(await status.json()) };
}

const ask = (address: string) =>
  fetch(`${address}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'hi' }] }),
  });

describe('F-03 a server whose TLS is wrong', () => {
  test('is never asked, whatever is wrong with it; the reason is told, and one with a private authority serves', async () => {
    const wrong = {
      'self-signed': modelServer(createSelfSigned('localhost')),
      expired: modelServer(authority.issue('localhost', EXPIRED)),
      'wrong-name': modelServer(authority.issue('elsewhere.example')),
      'plain-http': modelServer(null),
    };
    const good = modelServer(authority.issue('localhost'));
    const urls = Object.fromEntries(Object.entries(wrong).map(([name, { url }]) => [name, url]));
    const { address, status } = await startWith({ ...urls, good: good.url });
    for (let n = 0; n < 10; n++) {
      const reply = await ask(address);
      expect([reply.status, servedBy(reply)]).toEqual([200, 'good']);
      expect(await reply.text()).toContain('over TLS');
    }
    expect(Object.entries(wrong).map(([name, { seen }]) => [name, seen.chats])).toEqual(
      Object.keys(wrong).map((name) => [name, 0]),
    );
    for (const reason of ['self-signed', 'has expired', 'for another name', 'TLS']) expect(status).toContain(reason);
  }, 20_000);
});

describe('S-05, L-14 a provider given at run time, which is dialled by the address that was vetted', () => {
  test('has its certificate held against its name', async () => {
    const good = modelServer(authority.issue('localhost'));
    // What the address alone would be content with.
    const wrong = modelServer(authority.issue('127.0.0.1'));
    const { address } = await startWith({});
    const add = async (name: string, base_url: string) => {
      const body = {
        type: 'openai-compatible',
        name,
        base_url,
        api_key: 'key-of-12-and-more',
        network: 'lan',
        verify: true,
      };
      const reply = await fetch(`${address}/admin/overflow_provider`, {
        method: 'POST',
        headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return { status: reply.status, text: await reply.text() };
    };
    const refused = await add('wrong', wrong.url);
    expect(refused.status).toBe(422);
    expect(refused.text).toContain('for another name');
    expect((await add('good', good.url)).status).toBe(201);
    const reply = await ask(address);
    expect([reply.status, servedBy(reply)]).toEqual([200, 'good']);
    expect([good.seen.chats, wrong.seen.chats]).toEqual([1, 0]);
  }, 20_000);
});
