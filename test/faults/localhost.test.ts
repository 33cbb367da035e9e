import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { startTestGateway, until } from '../support/gateway.ts';
import { talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

async function gatewayBefore(change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm' });
  return { server, ...(await parts.gateway([targetFor(server)], change)) };
}

const BODY = JSON.stringify({ model: 'sim-model', messages: [{ role: 'user', content: 'hi' }] });

/** Everything that there is, with what a stranger's page would send there. */
const DOORS: readonly (readonly [string, string])[] = [
  ['POST', '/v1/chat/completions'],
  ['GET', '/v1/models'],
  ['GET', '/v1/models/sim-model'],
  ['GET', '/metrics'],
  ['GET', '/health'],
  ['GET', '/ready'],
  ['GET', '/'],
  ['GET', '/docs'],
  ['GET', '/openapi.json'],
  ['GET', '/admin/status'],
  ['POST', '/admin/login'],
  ['POST', '/admin/keys'],
  ['POST', '/admin/overflow_provider'],
  ['GET', '/nowhere'],
];

function raw(method: string, target: string, headers: readonly string[], type = 'application/json'): string {
  const body = method === 'POST' ? BODY : '';
  const framing = method === 'POST' ? [`content-type: ${type}`, `content-length: ${body.length}`] : [];
  return `${[`${method} ${target} HTTP/1.1`, ...headers, ...framing].join('\r\n')}\r\n\r\n${body}`;
}

async function answerTo(port: number, bytes: string): Promise<{ status: number; text: string }> {
  const client = talk(port, bytes);
  await until('it is answered', () => client.isClosed() || /HTTP\/1\.1 \d{3}.*\r\n\r\n/s.test(client.received()));
  client.destroy();
  const text = client.received();
  return { status: Number(/HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text };
}

/** What a page that the user's browser was lured to can make it send. */
const PAGES: readonly (readonly [string, (port: number) => readonly string[], number])[] = [
  ['a name of its own for this machine (DNS rebinding)', (port) => [`host: evil.example:${port}`], 403],
  [
    'the same from its own origin',
    (port) => [`host: evil.example:${port}`, `origin: http://evil.example:${port}`],
    403,
  ],
  ['a name that begins like ours', (port) => [`host: localhost.evil.example:${port}`], 403],
  ['a name that ends like ours', (port) => [`host: evil-localhost:${port}`], 403],
  ['an address that is another', (port) => [`host: 192.168.1.7:${port}`], 403],
  ['0.0.0.0, which browsers take for this machine', (port) => [`host: 0.0.0.0:${port}`], 403],
  ['a decimal address', (port) => [`host: 3232235783:${port}`], 403],
  ['our name, and its origin', (port) => [`host: localhost:${port}`, 'origin: https://evil.example'], 403],
  [
    'our name, and an origin that begins like ours',
    (port) => [`host: localhost:${port}`, 'origin: http://localhost.evil.example'],
    403,
  ],
  ['our name, and no origin to speak of', (port) => [`host: localhost:${port}`, 'origin: null'], 403],
  ['our name, and a file as origin', (port) => [`host: localhost:${port}`, 'origin: file://'], 403],
  [
    'our name, and an extension as origin',
    (port) => [`host: localhost:${port}`, 'origin: chrome-extension://abcdef'],
    403,
  ],
  [
    'two origins',
    (port) => [`host: localhost:${port}`, 'origin: http://localhost', 'origin: https://evil.example'],
    403,
  ],
  ['two hosts', (port) => [`host: localhost:${port}`, 'host: evil.example'], 400],
  ['no host', () => [], 400],
  ['an empty host', () => ['host: '], 400],
];

describe('S-14 a web page in the user’s browser', () => {
  for (const [what, headers, status] of PAGES) {
    test(`gets nothing with ${what}, whatever it asks for`, async () => {
      const { gateway, server } = await gatewayBefore();
      for (const [method, path] of DOORS) {
        const { status: seen, text } = await answerTo(gateway.port, raw(method, path, headers(gateway.port)));
        expect([method, path, [status, 400, 403].includes(seen)]).toEqual([method, path, true]);
        expect(text.toLowerCase()).not.toContain('access-control-');
        expect(text).not.toContain('sim-model');
      }
      expect(inference(server)).toEqual([]);
    });
  }

  test('gets nothing by a target that holds our name while its Host does not', async () => {
    const { gateway, server } = await gatewayBefore();
    for (const [method, path] of DOORS) {
      const target = `http://localhost:${gateway.port}${path}`;
      const { status } = await answerTo(gateway.port, raw(method, target, [`host: evil.example:${gateway.port}`]));
      expect([path, status]).toEqual([path, 403]);
    }
    expect(inference(server)).toEqual([]);
  });

  test('cannot send a form, or text, in place of JSON, which browsers send without asking', async () => {
    const { gateway, server, adminKey } = await gatewayBefore();
    const types = [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain;application/json',
      'application/jsonx',
      'text/json',
    ];
    for (const type of types) {
      for (const path of [
        '/v1/chat/completions',
        '/admin/keys',
        '/admin/login',
        '/admin/overflow_provider',
        '/admin/users',
      ]) {
        const headers = [`host: localhost:${gateway.port}`, `authorization: Bearer ${adminKey}`];
        const { status } = await answerTo(gateway.port, raw('POST', path, headers, type));
        expect([path, type, status]).toEqual([path, type, 415]);
      }
    }
    expect(inference(server)).toEqual([]);
  });

  test('replays what got through to Ollama (CVE-2024-28224) in vain: reading models, loading, pulling, deleting', async () => {
    const { gateway, server } = await gatewayBefore();
    const rebound = [
      `host: attacker.example:${gateway.port}`,
      `origin: http://attacker.example:${gateway.port}`,
      'sec-fetch-site: same-origin',
    ];
    for (const [method, path] of [
      ['GET', '/api/tags'],
      ['GET', '/v1/models'],
      ['POST', '/api/pull'],
      ['POST', '/api/generate'],
      ['DELETE', '/api/delete'],
      ['POST', '/v1/chat/completions'],
      ['POST', '/admin/overflow_provider'],
    ] as const) {
      const { status, text } = await answerTo(gateway.port, raw(method, path, rebound));
      expect([path, status, text.includes('sim-model')]).toEqual([path, 403, false]);
    }
    expect(server.log.filter(({ method }) => method !== 'GET')).toEqual([]);
  });
});

describe('S-14 who belongs here', () => {
  for (const [what, headers] of [
    ['localhost', (port: number) => [`host: localhost:${port}`]],
    ['LOCALHOST', (port: number) => [`host: LOCALHOST:${port}`]],
    ['127.0.0.1', (port: number) => [`host: 127.0.0.1:${port}`]],
    ['[::1]', (port: number) => [`host: [::1]:${port}`]],
    ['a page of another local server', (port: number) => [`host: localhost:${port}`, 'origin: http://localhost:3000']],
    ['a name that was configured', () => ['host: ai.example.com']],
    ['a page under a name that was configured', () => ['host: ai.example.com', 'origin: https://ai.example.com']],
  ] as const) {
    test(`${what} is served`, async () => {
      const { gateway } = await gatewayBefore({ allowedHosts: ['ai.example.com'] });
      for (const [method, path] of [
        ['POST', '/v1/chat/completions'],
        ['GET', '/v1/models'],
        ['GET', '/docs'],
      ] as const) {
        const { status } = await answerTo(gateway.port, raw(method, path, headers(gateway.port)));
        expect([path, status]).toEqual([path, 200]);
      }
    });
  }
});

describe('L-26 a gateway that is open to a network', () => {
  test('does not start without a key, on whatever address that is not loopback', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.7', 'box.local', '100.64.0.1']) {
      const starting = startTestGateway([], { host, adminKey: null, awaitProbes: false });
      await expect(starting).rejects.toThrow(/SWARMROUTER_HOST.*\n.*SWARMROUTER_ADMIN_KEY/);
    }
  });

  test('asks for the key wherever something can be learned or done', async () => {
    const { gateway, server } = await gatewayBefore({ host: '0.0.0.0' });
    const open = new Set(['/health', '/ready', '/', '/docs', '/openapi.json']);
    for (const [method, path] of DOORS) {
      const { status, text } = await answerTo(gateway.port, raw(method, path, ['host: box.local']));
      if (open.has(path)) expect([path, status]).toEqual([path, 200]);
      else expect([path, [400, 401, 404].includes(status), text.includes('sim-model')]).toEqual([path, true, false]);
    }
    expect(inference(server)).toEqual([]);
  });
});
