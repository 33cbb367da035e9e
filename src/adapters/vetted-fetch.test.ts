import { afterEach, describe, expect, test } from 'bun:test';
import { systemClock } from '../system-clock.ts';
import { createVettedFetch } from './vetted-fetch.ts';

const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

function serve(answer: (request: Request) => Response) {
  const hosts: (string | null)[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request) => {
      hosts.push(request.headers.get('host'));
      return answer(request);
    },
  });
  servers.push(server);
  return { port: server.port ?? 0, hosts };
}

const get = { method: 'GET', headers: { accept: 'application/json' } };
const errorOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no error',
    (error: unknown) => String(error),
  );

describe('what is fetched of a server that is no target', () => {
  test('comes from the address that was checked, under the name that was asked for', async () => {
    const { port, hosts } = serve(() => Response.json({ ok: true }));
    let looked = 0;
    const resolve = async () => (looked++ === 0 ? ['127.0.0.1'] : ['169.254.169.254']);
    const fetchVetted = createVettedFetch({ clock: systemClock, maxBytes: 1_000, resolve });
    const url = `http://login.example.test:${port}/keys`;
    expect(await (await fetchVetted(url, get)).json()).toEqual({ ok: true });
    expect(hosts).toEqual([`login.example.test:${port}`]);
  });

  test('goes on by the next address where nobody listens', async () => {
    const { port } = serve(() => Response.json({ ok: true }));
    const resolve = async () => ['127.0.0.9', '127.0.0.1'];
    const fetchVetted = createVettedFetch({ clock: systemClock, maxBytes: 1_000, resolve });
    expect((await fetchVetted(`http://login.example.test:${port}/`, get)).status).toBe(200);
  });

  test('is never a metadata service, nor the gateway itself, by any name', async () => {
    const { port, hosts } = serve(() => Response.json({}));
    const isOwnListener = (address: string, at: number) => address === '127.0.0.1' && at === port;
    const resolve = async (name: string) => [name === 'meta.example.test' ? '169.254.169.254' : '127.0.0.1'];
    const fetchVetted = createVettedFetch({ clock: systemClock, maxBytes: 1_000, resolve, isOwnListener });
    for (const [url, why] of [
      ['http://169.254.169.254/latest', 'metadata'],
      ['http://metadata.google.internal/', 'metadata'],
      ['http://meta.example.test/', 'metadata'],
      ['http://[::ffff:169.254.169.254]/', 'metadata'],
      [`http://127.0.0.1:${port}/`, 'this gateway itself'],
      [`http://login.example.test:${port}/`, 'this gateway itself'],
    ] as const) {
      expect(await errorOf(fetchVetted(url, get))).toContain(why);
    }
    expect(hosts).toEqual([]);
  });

  test('is not followed elsewhere, and not read without end', async () => {
    const { port } = serve(({ url }) =>
      url.endsWith('/moved') ? Response.redirect('http://169.254.169.254/', 302) : new Response('x'.repeat(2_000)),
    );
    const fetchVetted = createVettedFetch({ clock: systemClock, maxBytes: 1_000 });
    expect((await fetchVetted(`http://127.0.0.1:${port}/moved`, get)).status).toBe(302);
    expect(await errorOf(fetchVetted(`http://127.0.0.1:${port}/`, get))).toContain('larger than 1000 bytes');
  });
});
