import { afterEach, describe, expect, test } from 'bun:test';
import { createServer, type Server } from 'node:net';
import type { SimulatorKind } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import { ADDRESS_CORPUS } from '../support/address-corpus.ts';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { freePort } from '../support/free-port.ts';
import { httpReply } from '../support/raw-server.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();
const traps: Server[] = [];
afterEach(() => {
  for (const trap of traps.splice(0)) trap.close();
});

/** A server that must never be called: counts whoever comes. */
async function startTrap() {
  let hits = 0;
  const trap = createServer((socket) => {
    hits++;
    socket.destroy();
  });
  traps.push(trap);
  const port = await freePort();
  await new Promise<void>((resolve) => trap.listen(port, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${port}`, hits: () => hits };
}

/** The corpus but for what would have to ask a name service. */
const isName = (url: string): boolean =>
  /example|box\.local|ula\.local|localhost|l.?o.?c.?a.?l/i.test(decodeURI(url.normalize('NFKC').replaceAll('%00', '')));
const withoutNames = (): (readonly [string, string])[] =>
  ADDRESS_CORPUS.filter(([url]) => {
    try {
      return !isName(url);
    } catch {
      return true;
    }
  });

describe('S-05, L-14 an address that is given at run time', () => {
  const bodies = {
    openrouter: (url: string) => ({ type: 'openrouter', base_url: url }),
    azure: (url: string) => ({ type: 'azure', endpoint: url, deployments: { a: 'b' } }),
    'openai-compatible': (url: string) => ({ type: 'openai-compatible', name: 'box', base_url: url }),
  };

  for (const [kind, bodyOf] of Object.entries(bodies)) {
    test(`for ${kind} is refused wherever the corpus says so, kept nowhere and called by nobody`, async () => {
      const server = await parts.simulator({ kind: 'vllm' });
      const { url, adminKey } = await parts.gateway([targetFor(server)]);
      const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' };
      const admin = (method: string, body?: object) =>
        fetch(`${url}/admin/overflow_provider`, {
          method,
          headers,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      const bad = withoutNames().flatMap(([address, verdict]) =>
        verdict === 'never'
          ? [[address, 'lan'] as const, [address, 'public'] as const]
          : verdict === 'lan'
            ? [[address, 'public'] as const]
            : [],
      );
      expect(bad.length).toBeGreaterThan(200);
      const letIn: string[] = [];
      for (const [address, network] of bad) {
        for (const verify of [false, true]) {
          const response = await admin('POST', {
            ...bodyOf(address),
            api_key: 'sk-canary-0123456789',
            network,
            verify,
          });
          const text = await response.text();
          if (response.status < 400 || response.status > 499) letIn.push(`${address} (${network}): ${response.status}`);
          expect(text).not.toContain('sk-canary');
        }
      }
      expect(letIn).toEqual([]);
      expect(JSON.stringify(await (await admin('GET')).json())).not.toContain('sk-canary');
      expect(inference(server)).toEqual([]);
    }, 60_000);
  }

  test('leads nowhere else by a redirect, neither when it is tried nor when it is used', async () => {
    const trap = await startTrap();
    const away = httpReply('', { status: '307 Go', location: `${trap.url}/v1/chat/completions` });
    const raw = await parts.rawServer({
      chat: ({ socket }) => void socket.write(away),
      listing: ({ socket }) => void socket.write(away),
    });
    const { url, adminKey, chat } = await parts.gateway([]);
    const add = (verify: boolean) =>
      fetch(`${url}/admin/overflow_provider`, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          type: 'openai-compatible',
          name: 'box',
          base_url: raw.baseUrl,
          api_key: 'sk-canary-0123456789',
          default_model: 'm',
          network: 'lan',
          verify,
        }),
      });
    expect((await add(true)).status).toBeGreaterThanOrEqual(400);
    expect((await add(false)).status).toBe(201);
    const response = await chat({ model: 'box/m', messages: [{ role: 'user', content: 'hi' }] });
    expect(response.status).toBeGreaterThanOrEqual(500);
    expect(trap.hits()).toBe(0);
  });
});

/** Where clients put addresses, and where other gateways were led astray by them. */
const fields = (url: string): Readonly<Record<string, unknown>> => ({
  image: { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: `${url}/image.png` } }] }] },
  'image as text': { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: `${url}/image.png` }] }] },
  'input image': { messages: [{ role: 'user', content: [{ type: 'input_image', image_url: `${url}/image.png` }] }] },
  audio: {
    messages: [
      { role: 'user', content: [{ type: 'input_audio', input_audio: { data: `${url}/a.mp3`, format: 'mp3', url } }] },
    ],
  },
  video: { messages: [{ role: 'user', content: [{ type: 'video_url', video_url: { url } }] }] },
  file: {
    messages: [
      { role: 'user', content: [{ type: 'file', file: { file_data: `${url}/a.pdf`, file_url: url, filename: url } }] },
    ],
  },
  source: { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'url', url } }] }] },
  tool: {
    tools: [
      { type: 'mcp', server_url: url, server_label: 'x' },
      { type: 'function', function: { name: 'f', parameters: { $ref: url, $schema: url } } },
    ],
  },
  schema: {
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { $ref: `${url}/schema.json` } } },
  },
  base: { api_base: url, base_url: url, baseURL: url, endpoint: url, api_key: 'client', custom_host: url },
  options: {
    provider_options: { baseUrl: url },
    extra_body: { api_base: url },
    provider: { base_url: url },
    litellm_params: { api_base: url },
  },
  callback: { webhook_url: url, callback_url: url, metadata: { url, webhook: url }, store: true },
});

const HOST_HEADERS = [
  'x-portkey-custom-host',
  'x-api-base',
  'x-base-url',
  'x-target-url',
  'x-forwarded-host',
  'x-original-url',
  'x-rewrite-url',
  'helicone-target-url',
  'x-upstream',
];

describe('S-06, L-08 an address that a client sends', () => {
  for (const kind of [
    'lm-studio',
    'ollama',
    'llama-cpp',
    'vllm',
    'openrouter',
    'openai-compatible',
  ] as const satisfies readonly SimulatorKind[]) {
    test(`is text for a server of kind ${kind}: it is passed on as it is, and nobody calls it`, async () => {
      const trap = await startTrap();
      const server = await parts.simulator({ kind });
      const target = { ...targetFor(server, { id: 'only' }), apiKey: new Secret('sk-provider-canary') };
      const { chat } = await parts.gateway([target], { maxRetries: 0 });
      const headers = Object.fromEntries(HOST_HEADERS.map((name) => [name, trap.url]));
      let passed = 0;
      for (const [what, members] of Object.entries(fields(trap.url))) {
        for (const stream of [false, true]) {
          const messages = [{ role: 'user', content: 'hi' }];
          const before = inference(server).length;
          const response = await chat({ model: 'sim-model', stream, messages, ...(members as object) }, { headers });
          await response.text();
          // A part of a message that this server does not know may be refused; that is between it and the client.
          expect([what, response.status < 500]).toEqual([what, true]);
          if (inference(server).length > before) passed++;
          expect(
            JSON.stringify(
              inference(server)
                .slice(before)
                .map(({ body }) => body),
            ).includes(trap.url),
          ).toBe(inference(server).length > before);
        }
      }
      expect(passed).toBeGreaterThan(10);
      expect(trap.hits()).toBe(0);
    });
  }

  test('as the name of a model leads to no other server', async () => {
    const trap = await startTrap();
    const server = await parts.simulator({ kind: 'azure-openai' });
    const target = {
      ...targetFor(server, { id: 'azure', deployments: {} }),
      apiKey: new Secret('sk-provider-canary'),
      apiVersion: '2024-10-21',
    };
    const { chat } = await parts.gateway([target], { maxRetries: 0 });
    for (const model of [
      trap.url,
      `//${trap.url.slice(7)}/v1`,
      `azure/${trap.url}`,
      `azure/@${trap.url.slice(7)}`,
      'azure/..',
      'azure/../../..',
      'azure/%2e%2e%2f',
      'azure/\\\\evil',
      'azure/a?b#c',
    ]) {
      const response = await chat({ model, messages: [{ role: 'user', content: 'hi' }] });
      await response.text();
      expect([model, [404, 503].includes(response.status)]).toEqual([model, true]);
    }
    expect(trap.hits()).toBe(0);
    const paths = server.log.filter(({ method }) => method === 'POST').map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(4);
    for (const path of paths) {
      expect(path).toMatch(/^\/openai\/deployments\/[^/]+\/chat\/completions$/);
    }
  });
});
