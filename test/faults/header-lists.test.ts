import { describe, expect, test } from 'bun:test';
import type { Fault, Simulator, SimulatorKind } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import { ADAPTER_KINDS, type Target } from '../../src/core/target.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { chatRequest, talk } from '../support/raw-client.ts';
import {
  chunk,
  completion,
  framed,
  httpReply,
  LAST_CHUNK,
  type RawAnswer,
  type RawExchange,
  type RawServer,
} from '../support/raw-server.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();

const server = (chat: RawAnswer): Promise<RawServer> => parts.rawServer({ chat });

/** A simulator of this kind, and the target that leads to it, with a key of its own. */
async function simulated(kind: SimulatorKind, change: Partial<Target> = {}) {
  const simulator = await parts.simulator({ kind });
  const deployments = { 'sim-model': 'sim-model' };
  const target = {
    ...targetFor(simulator, { id: `to-${kind}`, deployments }),
    apiKey: new Secret(keyOf(kind)),
    ...change,
  };
  return { simulator, target };
}

const keyOf = (id: string): string => `key-canary-of-${id}`;
const hi: RawAnswer = ({ socket }) => void socket.write(httpReply(completion('hi')));
const CANARY = 'header-canary';
const TRACE = '00-11111111111111111111111111111111-2222222222222222-01';

/** What a client may send along: nothing of it but the last three is for a model server. */
const SENT: readonly (readonly [string, string])[] = [
  ['connection', 'keep-alive, x-foo, authorization, content-type, x-swarmrouter-hops, accept-encoding, host'],
  ['keep-alive', `timeout=5, ${CANARY}`],
  ['proxy-connection', CANARY],
  ['proxy-authorization', `Basic ${CANARY}`],
  ['te', 'trailers'],
  ['trailer', CANARY],
  ['x-foo', CANARY],
  ['authorization', `Bearer ${CANARY}`],
  ['x-api-key', CANARY],
  ['api-key', CANARY],
  ['x-goog-api-key', CANARY],
  ['cookie', `session=${CANARY}`],
  ['x-forwarded-for', CANARY],
  ['x-forwarded-host', CANARY],
  ['x-forwarded-proto', CANARY],
  ['x-real-ip', CANARY],
  ['forwarded', `for=${CANARY}`],
  ['via', `1.1 ${CANARY}`],
  ['accept', `text/${CANARY}`],
  ['accept-encoding', `br, ${CANARY}`],
  ['accept-language', CANARY],
  ['user-agent', CANARY],
  ['referer', `http://${CANARY}/`],
  ['http-referer', `http://${CANARY}/`],
  ['x-openrouter-title', CANARY],
  ['openai-organization', CANARY],
  ['openai-project', CANARY],
  ['x-stainless-lang', CANARY],
  ['tracestate', `a=${CANARY}`],
  ['baggage', `a=${CANARY}`],
  ['range', `bytes=0-1`],
  ['if-none-match', `"${CANARY}"`],
  ['x-session-id', CANARY],
  ['x-http-method-override', 'DELETE'],
  ['x-swarmrouter-hops', '1'],
  ['x-request-id', 'from-the-client'],
  ['traceparent', TRACE],
];

/** Exactly what reaches a server of each kind. */
function golden(kind: SimulatorKind): Record<string, string> {
  const local = { 'x-request-id': 'from-the-client', traceparent: TRACE };
  const hops = { 'x-swarmrouter-hops': '2' };
  const bearer = { authorization: `Bearer ${keyOf(kind)}` };
  const own: Readonly<Record<SimulatorKind, Record<string, string>>> = {
    'lm-studio': { ...bearer, ...local, ...hops },
    ollama: { ...bearer, ...local, ...hops },
    'llama-cpp': { ...bearer, ...local, ...hops },
    vllm: { ...bearer, ...local, ...hops },
    sglang: { ...bearer, ...local, ...hops },
    'openai-compatible': { ...bearer, ...hops },
    openrouter: { ...bearer, 'http-referer': 'http://localhost:8000', 'x-openrouter-title': 'SwarmRouter' },
    'azure-openai': { 'api-key': keyOf(kind) },
  };
  return {
    ...own[kind],
    accept: '*/*',
    'accept-encoding': 'identity',
    connection: 'keep-alive',
    'content-type': 'application/json',
    'user-agent': `Bun/${Bun.version}`,
  };
}

const sentTo = (simulator: Simulator) => inference(simulator).map(({ headers }) => headers);

describe('S-07 the headers that reach a server', () => {
  for (const kind of ADAPTER_KINDS) {
    test(`of kind ${kind} are these and no others, whatever the client sends`, async () => {
      const { simulator, target } = await simulated(kind, {
        place: ['openrouter', 'azure-openai', 'openai-compatible'].includes(kind) ? 'cloud' : 'local',
      });
      const { gateway } = await parts.gateway([target]);
      const lines = SENT.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const client = talk(gateway.port, chatRequest('A', lines));
      await until('it is answered', () => client.received().includes('canary:A'));
      const [headers] = sentTo(simulator);
      const { host, 'content-length': length, ...others } = headers ?? {};
      expect(others).toEqual(golden(kind));
      expect([host, Number(length) > 0]).toEqual([new URL(simulator.url).host, true]);
      client.destroy();
    });
  }

  test('hold no trace that is not one: a server must not be sent what a client writes there', async () => {
    const { simulator, target } = await simulated('vllm');
    const { gateway } = await parts.gateway([target]);
    const wrong = [CANARY, `${TRACE}, ${TRACE}`, `${TRACE}-${CANARY}`, 'modèle', '', '00-0-0-0', '\t'];
    for (const [at, value] of wrong.entries()) {
      const client = talk(gateway.port, chatRequest(`N${at}`, `traceparent: ${value}\r\n`));
      await until('it is answered', () => client.received().includes(`canary:N${at}`));
      client.destroy();
    }
    expect(sentTo(simulator).map((headers) => 'traceparent' in headers)).toEqual(wrong.map(() => false));
  });

  test('hold an id of our own where the client’s could do harm', async () => {
    const { simulator, target } = await simulated('vllm');
    const { gateway } = await parts.gateway([target]);
    for (const id of ['a b', 'x'.repeat(129), 'é', '<script>', '']) {
      const client = talk(gateway.port, chatRequest('A', `x-request-id: ${id}\r\n`));
      await until('it is answered', () => client.received().includes('canary:A'));
      expect(client.received()).toMatch(/x-request-id: req_[0-9a-f-]{36}\r\n/i);
      client.destroy();
    }
    for (const headers of sentTo(simulator)) expect(headers['x-request-id']).toMatch(/^req_[0-9a-f-]{36}$/);
  });
});

describe('S-07 a credential', () => {
  const failing: readonly (readonly [string, Fault])[] = [
    ['a failure', { kind: 'status', status: 500 }],
    ['a refused key', { kind: 'status', status: 401 }],
    ['a limit', { kind: 'status', status: 429 }],
    ['a reset', { kind: 'reset-before-headers' }],
    ['a redirect', { kind: 'redirect', location: 'http://127.0.0.1:9/' }],
    ['junk', { kind: 'junk' }],
  ];
  for (const [what, fault] of failing) {
    for (const [first, second] of [
      ['azure-openai', 'openai-compatible'],
      ['openai-compatible', 'azure-openai'],
      ['openrouter', 'openai-compatible'],
      ['lm-studio', 'openrouter'],
    ] as const) {
      test(`of ${first} is not sent to ${second} after ${what}`, async () => {
        const broken = await simulated(first, { place: 'local' });
        const good = await simulated(second, { place: 'cloud' });
        const { chat } = await parts.gateway([broken.target, good.target], { maxRetries: 2, retryDelayMs: 1 });
        await broken.simulator.setFault(fault);
        const response = await chat({ model: 'sim-model', messages: [{ role: 'user', content: 'hi' }] });
        await response.text();
        expect(response.status).toBe(200);
        const [one, other] = [broken, good].map(({ simulator }) => JSON.stringify(simulator.log));
        expect([one?.includes(keyOf(first)), one?.includes(keyOf(second))]).toEqual([true, false]);
        expect([other?.includes(keyOf(first)), other?.includes(keyOf(second))]).toEqual([false, true]);
        expect(inference(good.simulator).length).toBe(1);
        expect(inference(broken.simulator).length).toBeGreaterThan(0);
      });
    }
  }
});

/** What a server may say in its headers: nothing of it is the client's business, or it is said in our own words. */
const ANSWERED: readonly (readonly [string, string])[] = [
  ['set-cookie', `session=${CANARY}`],
  ['set-cookie2', CANARY],
  ['x-goog-api-key', CANARY],
  ['authorization', `Bearer ${CANARY}`],
  ['api-key', CANARY],
  ['server', CANARY],
  ['x-powered-by', CANARY],
  ['via', CANARY],
  ['www-authenticate', `Bearer realm="${CANARY}"`],
  ['proxy-authenticate', CANARY],
  ['openai-organization', CANARY],
  ['x-request-id', CANARY],
  ['cf-ray', CANARY],
  ['access-control-allow-origin', '*'],
  ['access-control-allow-credentials', 'true'],
  ['access-control-allow-private-network', 'true'],
  ['content-security-policy', CANARY],
  ['strict-transport-security', CANARY],
  ['alt-svc', `h3="${CANARY}:443"`],
  ['link', `<http://${CANARY}>`],
  ['refresh', `0; url=http://${CANARY}`],
  ['content-disposition', `attachment; filename=${CANARY}`],
  ['content-location', `http://${CANARY}/`],
  ['etag', `"${CANARY}"`],
  ['warning', CANARY],
  ['x-ratelimit-remaining-requests', '7'],
  ['x-should-retry', 'true'],
  ['x-swarmrouter-target', CANARY],
  ['x-swarmrouter-reason', CANARY],
];

describe('S-07, L-16 the headers that reach a client', () => {
  const answered = Object.fromEntries(ANSWERED);
  const lines = ANSWERED.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const OWN = ['date', 'x-request-id'];
  const BY = ['model', 'place', 'provider', 'reason', 'target', 'attempts'].map((name) => `x-swarmrouter-${name}`);
  const WHOLE = [...OWN, ...BY, 'content-length', 'content-type'];
  const STREAM = [...OWN, ...BY, 'cache-control', 'content-type', 'transfer-encoding', 'x-accel-buffering'];
  const ERROR = [...OWN, 'content-length', 'content-type', 'x-should-retry', 'x-swarmrouter-attempts'];
  const status =
    (line: string, headers = {}): RawAnswer =>
    ({ socket }: RawExchange) =>
      void socket.write(
        httpReply(JSON.stringify({ error: { message: 'no', code: 'no' } }), { status: line, ...answered, ...headers }),
      );
  const cases: readonly (readonly [string, RawAnswer, boolean, number, readonly string[]])[] = [
    ['a whole reply', ({ socket }) => void socket.write(httpReply(completion('hi'), answered)), false, 200, WHOLE],
    [
      'a stream',
      ({ socket }) =>
        void socket.write(
          `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n${lines}\r\n${framed(`${chunk('hi')}${chunk(null)}data: [DONE]\n\n`)}${LAST_CHUNK}`,
        ),
      true,
      200,
      STREAM,
    ],
    ['a refusal', status('400 Bad'), false, 400, ERROR],
    ['a refused key', status('401 No'), false, 502, ERROR],
    ['a failure', status('500 Oops'), false, 502, ERROR],
    ['a limit', status('429 Later', { 'retry-after': '7' }), false, 429, [...ERROR, 'retry-after', 'retry-after-ms']],
    ['a redirect', status('302 Found', { location: `http://${CANARY}/` }), false, 502, ERROR],
  ];
  for (const [what, answer, stream, expected, names] of cases) {
    test(`with ${what} are these and no others, whatever the server sends`, async () => {
      const { gateway } = await parts.gateway([targetOfRaw(await server(answer))], { maxRetries: 0 });
      const client = talk(
        gateway.port,
        chatRequest('A')
          .replace('"model"', `"stream":${stream},"model"`)
          .replace(
            /content-length: \d+/,
            (was) => `content-length: ${Number(was.slice(16)) + `"stream":${stream},`.length}`,
          ),
      );
      await until('it is answered', () => /\r\n\r\n.*\}/s.test(client.received()));
      const [head = ''] = client.received().split('\r\n\r\n');
      const [statusLine, ...sent] = head.split('\r\n');
      expect(statusLine).toContain(String(expected));
      expect(sent.map((line) => line.split(':')[0]?.toLowerCase()).toSorted()).toEqual([...names].toSorted());
      expect(client.received()).not.toContain(CANARY);
      client.destroy();
    });
  }

  test('never allow another web page anything, not even when it asks first', async () => {
    const { gateway } = await parts.gateway([targetOfRaw(await server(hi))]);
    for (const path of ['/v1/chat/completions', '/v1/models', '/admin/keys', '/metrics', '/docs', '/health', '/']) {
      for (const origin of ['http://localhost:3000', 'https://evil.example', 'null']) {
        const preflight = `origin: ${origin}\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type\r\naccess-control-request-private-network: true\r\n`;
        const client = talk(gateway.port, `OPTIONS ${path} HTTP/1.1\r\nhost: localhost\r\n${preflight}\r\n`);
        await until('it is answered', () => client.received().includes('\r\n\r\n'));
        expect(client.received()).toMatch(/^HTTP\/1\.1 4\d\d/);
        expect(client.received().toLowerCase()).not.toContain('access-control-');
        client.destroy();
      }
    }
  });
});

describe('S-07 a line break, a NUL or another character that no header may hold', () => {
  const odd = ['a\r\nx-injected: 1', 'a\nx-injected: 1', 'a\0b', 'modèle', '模型', '\u2028', '\u001b[31m', '\u007f'];

  test('in the name of a model becomes none in the reply’s headers', async () => {
    const raw = await server(
      ({ socket }) =>
        void socket.write(httpReply(completion('hi').replace('sim-model', 'sim\\r\\nx-injected: 1\\u0000é'))),
    );
    const { gateway, chat } = await parts.gateway([targetOfRaw(raw)], { standIn: 'always' });
    for (const model of ['sim-model', ...odd]) {
      const response = await chat({ model, messages: [{ role: 'user', content: 'hi' }] });
      await response.text();
      expect([...response.headers.keys()]).not.toContain('x-injected');
      for (const [, value] of response.headers) expect(value).toMatch(/^[\x20-\x7e]*$/);
    }
    expect(gateway.targets()[0]?.health).toBe('up');
  });

  for (const value of odd) {
    test(`in a x-swarmrouter header is refused or ignored, and breaks nothing: ${JSON.stringify(value)}`, async () => {
      const { gateway } = await parts.gateway([targetOfRaw(await server(hi))]);
      for (const name of ['route', 'place', 'strict-model', 'max-first-token-ms', 'hops']) {
        const bytes = Buffer.from(chatRequest('A', `x-swarmrouter-${name}: ${value}\r\n`), 'utf8');
        const client = talk(gateway.port, bytes);
        await until('it is answered', () => client.isClosed() || /HTTP\/1\.1 \d{3}/.test(client.received()));
        expect(client.received()).toMatch(/^HTTP\/1\.1 (200|400) /);
        // An answer may quote the value in its body, never as a header.
        expect(client.received().split('\r\n\r\n')[0]?.toLowerCase()).not.toMatch(/^x-injected/m);
        client.destroy();
      }
    });
  }
});
