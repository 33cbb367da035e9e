import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { Fault } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import { type TestGateway, targetFor } from '../support/gateway.ts';
import { runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** None of these may be anywhere but where it was sent. */
const CANARIES = {
  'provider key of the configuration': 'sk-canary-configured-5f1e9c7a2b',
  'provider key given at run time': 'sk-canary-runtime-8d3b6e4f1a',
  password: 'canary-password-7c2e5a9d',
  cookie: 'canary-cookie-4b8f1d6e',
  prompt: 'canary-prompt-9e3a7c5b',
  'forwarding header': 'canary-forwarded-2d6f8b1c',
} as const;

/** Each tells its client, or would like to, what it was sent. */
const FAULTS: readonly (Fault | null)[] = [
  null,
  {
    kind: 'status',
    status: 401,
    body: { error: { message: `bad key ${CANARIES['provider key of the configuration']}` } },
  },
  { kind: 'status', status: 403, body: { error: { message: `no ${CANARIES['provider key given at run time']}` } } },
  { kind: 'status', status: 500 },
  { kind: 'status', status: 429 },
  { kind: 'status', status: 404 },
  { kind: 'html' },
  { kind: 'junk' },
  { kind: 'error-with-200' },
  { kind: 'truncated-json' },
  { kind: 'reset-before-headers' },
  { kind: 'error-in-stream', afterChunks: 2, shape: 'data' },
  { kind: 'cut', afterChunks: 2 },
  { kind: 'bad-json-line', afterChunks: 1 },
  { kind: 'redirect', location: 'http://127.0.0.1:9/' },
];

interface Sink {
  readonly name: string;
  readonly text: string;
}

/** By canary: the sinks that hold it. */
function leaks(sinks: readonly Sink[], canaries: Readonly<Record<string, string>>): string[] {
  return Object.entries(canaries).flatMap(([canary, text]) => {
    const forms = [text, Buffer.from(text).toString('base64').replace(/=+$/, ''), Buffer.from(text).toString('hex')];
    return sinks
      .filter((sink) => forms.some((form) => sink.text.includes(form)))
      .map(({ name }) => `${canary} in ${name}`);
  });
}

async function started() {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-canaries-'));
  folders.push(dataDir);
  const local = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen' }] });
  const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'qwen' }] });
  const other = await simulator({ kind: 'openai-compatible', models: [{ id: 'qwen' }] });
  const apiKey = new Secret(CANARIES['provider key of the configuration']);
  const targets = [targetFor(local), targetFor(cloud, { id: 'openrouter', place: 'cloud', apiKey })];
  const on = await gateway(targets, { dataDir, usage: true, logLevel: 'debug', maxRetries: 2, retryDelayMs: 1 });
  return { dataDir, on, local, cloud, other };
}

async function admin(on: TestGateway, method: string, path: string, body?: unknown): Promise<string> {
  const reply = await fetch(`${on.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${on.adminKey}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return `${JSON.stringify([...reply.headers])} ${await reply.text()}`;
}

/** All that clients are told, of good requests and of bad ones. */
async function clientReplies(on: TestGateway, key: string, bodies: readonly string[]): Promise<Sink[]> {
  const sinks: Sink[] = [];
  for (const [at, body] of bodies.entries()) {
    const reply = await fetch(`${on.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        cookie: `session=${CANARIES.cookie}`,
        'x-forwarded-for': CANARIES['forwarding header'],
        forwarded: `for=${CANARIES['forwarding header']}`,
        'proxy-authorization': `Basic ${CANARIES.cookie}`,
      },
      body,
    });
    const text = await reply.text().catch(String);
    sinks.push({ name: `reply ${at} (${reply.status})`, text: `${JSON.stringify([...reply.headers])} ${text}` });
  }
  return sinks;
}

function requestBodies(): string[] {
  const messages = [{ role: 'user', content: `please read ${CANARIES.prompt}` }];
  return [
    JSON.stringify({ model: 'qwen', messages }),
    JSON.stringify({ model: 'qwen', messages, stream: true }),
    JSON.stringify({ model: 'nobody-has-it', messages }),
    JSON.stringify({ model: 'qwen', messages: 'wrong' }),
    `{"model": "qwen", "messages": [{"role": "user", "content": "${CANARIES.prompt}"`,
  ];
}

async function adminReplies(on: TestGateway): Promise<Sink[]> {
  const document = await (await fetch(`${on.url}/openapi.json`)).json();
  const paths = Object.entries<Record<string, unknown>>(document.paths)
    .filter(([path, item]) => 'get' in item && !path.startsWith('/v1'))
    .map(([path]) => path.replaceAll(/\{\w+\}/g, 'some-id'));
  const { decisions } = JSON.parse((await admin(on, 'GET', '/admin/decisions')).replace(/^\[.*?\]\] /s, ''));
  const each = decisions
    .slice(0, 50)
    .map(({ id, request_id }: { id?: string; request_id?: string }) => id ?? request_id);
  const more = each.map((id: string) => `/admin/decisions/${encodeURIComponent(id)}`);
  const exports = [
    '/admin/usage/export?format=json',
    '/admin/usage/export?format=csv',
    '/admin/audit/export?format=json',
  ];
  const asked = [...paths, ...more, ...exports];
  expect(asked.length).toBeGreaterThan(30);
  return Promise.all(asked.map(async (path) => ({ name: path, text: await admin(on, 'GET', path) })));
}

async function files(dataDir: string): Promise<Sink[]> {
  const found = await readdir(dataDir, { recursive: true, withFileTypes: true });
  return Promise.all(
    found
      .filter((entry) => entry.isFile())
      .map(async ({ name, parentPath }) => ({ name, text: await readFile(join(parentPath, name), 'latin1') })),
  );
}

describe('S-07 S-09 S-10 L-08 L-10 L-16 a secret', () => {
  test('is in no reply, no log, no metric, no report, no record of the admin API and no file, whatever goes wrong', async () => {
    const { dataDir, on, local, cloud, other } = await started();
    const sinks: Sink[] = [];
    const provider = {
      ...{ type: 'openai-compatible', name: 'box', api_key: CANARIES['provider key given at run time'] },
      ...{ base_url: other.baseUrl, network: 'lan' },
    };
    sinks.push({ name: 'the added provider', text: await admin(on, 'POST', '/admin/overflow_provider', provider) });
    const user = { name: 'alice', password: CANARIES.password, grants: [{ role: 'member' }] };
    sinks.push({ name: 'the made user', text: await admin(on, 'POST', '/admin/users', user) });
    const login = JSON.stringify({ name: 'alice', password: `${CANARIES.password}x` });
    sinks.push({ name: 'a refused login', text: await admin(on, 'POST', '/admin/login', JSON.parse(login)) });
    const made = JSON.parse((await admin(on, 'POST', '/admin/keys', { name: 'client' })).replace(/^\[.*?\]\] /s, ''));
    for (const fault of FAULTS) {
      for (const server of [local, cloud, other]) await server.setFault(fault);
      sinks.push(...(await clientReplies(on, made.key, requestBodies())));
    }
    for (const server of [local, cloud, other]) await server.setFault(null);
    sinks.push(...(await adminReplies(on)));
    await on.gateway.stop(1_000);
    const written = await files(dataDir);
    expect(written.find(({ name }) => name === 'log.jsonl')?.text.length ?? 0).toBeGreaterThan(1_000);
    sinks.push(...written);
    // What a simulated answer says of its prompt is its own; what the gateway says of it is not.
    const { prompt, ...others } = CANARIES;
    expect(leaks(sinks, others)).toEqual([]);
    expect(
      leaks(
        sinks.filter(({ name }) => !name.startsWith('reply')),
        { prompt },
      ),
    ).toEqual([]);
    // The texts that open doors: what a client was given once, and the operator's own.
    const doors = { 'client key': made.key.slice(13, -4), 'admin key': on.adminKey };
    expect(
      leaks(
        sinks.filter(({ name }) => name !== 'admin-key'),
        doors,
      ),
    ).toEqual([]);
  });

  test('goes to its own server alone, and nothing of the client’s that is not the request goes anywhere', async () => {
    const { on, local, cloud, other } = await started();
    await admin(on, 'POST', '/admin/overflow_provider', {
      ...{ type: 'openai-compatible', name: 'box', api_key: CANARIES['provider key given at run time'] },
      ...{ base_url: other.baseUrl, network: 'lan' },
    });
    const made = JSON.parse((await admin(on, 'POST', '/admin/keys', { name: 'client' })).replace(/^\[.*?\]\] /s, ''));
    for (const failing of [[], [local], [local, cloud], [local, cloud, other]]) {
      for (const server of [local, cloud, other]) {
        await server.setFault(failing.includes(server) ? { kind: 'status', status: 500 } : null);
      }
      await clientReplies(on, made.key, requestBodies());
    }
    const headersOf = ({ log }: typeof local) => log.map(({ headers }) => JSON.stringify(headers)).join('\n');
    const sent = { local: headersOf(local), cloud: headersOf(cloud), other: headersOf(other) };
    for (const text of Object.values(sent)) expect(text.length).toBeGreaterThan(100);
    expect(sent.cloud).toContain(CANARIES['provider key of the configuration']);
    expect(sent.other).toContain(CANARIES['provider key given at run time']);
    for (const [server, text] of Object.entries(sent)) {
      const foreign = [
        ...(server === 'cloud' ? [] : [CANARIES['provider key of the configuration']]),
        ...(server === 'other' ? [] : [CANARIES['provider key given at run time']]),
        ...[CANARIES.cookie, CANARIES['forwarding header'], made.key, on.adminKey],
      ];
      for (const canary of foreign) expect(`${server}: ${text.includes(canary)}`).toBe(`${server}: false`);
      expect(text).not.toMatch(/"(cookie|x-forwarded-for|forwarded|proxy-authorization|x-api-key)"/);
    }
  });

  test('is found by this test where it leaks: in plain, in base64 and in hexadecimal', () => {
    const secret = CANARIES.password;
    const sinks = [
      { name: 'plain', text: `{"password":"${secret}"}` },
      { name: 'base64', text: Buffer.from(secret).toString('base64') },
      { name: 'hexadecimal', text: Buffer.from(secret).toString('hex') },
      { name: 'clean', text: 'nothing here' },
    ];
    expect(leaks(sinks, { password: secret })).toEqual([
      'password in plain',
      'password in base64',
      'password in hexadecimal',
    ]);
  });

  test('shows as [secret] wherever a value may be written', () => {
    const secret = new Secret(CANARIES.password);
    const cause = new Error('outer', { cause: { secret } });
    const shown = [
      `${secret}`,
      String(secret),
      JSON.stringify({ secret }),
      inspect({ deep: { secret } }),
      inspect(cause),
      Bun.inspect({ secret }),
      JSON.stringify(structuredClone({ name: 'x', secret: { ...secret } })),
      Object.values(secret).join(),
      Object.getOwnPropertyNames(secret).join(),
    ];
    for (const text of shown) expect(text).not.toContain(CANARIES.password);
    expect(shown.slice(0, 3)).toEqual(['[secret]', '[secret]', '{"secret":"[secret]"}']);
  });
});
