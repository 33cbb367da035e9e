import { describe, expect, test } from 'bun:test';
import type { Fault, SimulatorKind } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import { faultParts, targetFor, targetOfRaw } from '../support/fault-parts.ts';
import { until } from '../support/gateway.ts';
import { completion, httpReply } from '../support/raw-server.ts';
import { inference, servedBy } from '../support/running.ts';

const parts = faultParts();

const ask = (stream = false) => ({ model: 'sim-model', stream, messages: [{ role: 'user', content: 'hi' }] });
const coded = (code: string): object => ({ error: { message: 'no', type: 'x', param: null, code } });
const limited = (headers: Record<string, string>): Fault => ({ kind: 'status', status: 429, headers });

async function twoClouds() {
  const first = await parts.simulator({ kind: 'openai-compatible', name: 'first' });
  const second = await parts.simulator({ kind: 'openai-compatible', name: 'second' });
  const started = await parts.gateway(
    [targetFor(first, { id: 'first', place: 'cloud' }), targetFor(second, { id: 'second', place: 'cloud' })],
    { retryDelayMs: 1 },
  );
  return { first, second, ...started };
}

describe("F-20 a client's own mistake", () => {
  for (const status of [400, 413, 422]) {
    for (const stream of [false, true]) {
      test(`(${status}, ${stream ? 'streamed' : 'whole'}) goes to nobody else and hurts nobody's health`, async () => {
        const { first, second, chat, gateway } = await twoClouds();
        await first.setFault({ kind: 'status', status, body: coded('invalid_value') });
        await second.setFault({ kind: 'status', status, body: coded('invalid_value') });
        for (let n = 0; n < 8; n++) {
          const response = await chat(ask(stream));
          expect([response.status, response.headers.get('x-should-retry')]).toEqual([status, 'false']);
          expect((await response.json()).error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_value' });
        }
        expect(inference(first).length + inference(second).length).toBe(8);
        expect(gateway.targets().map(({ health }) => health)).toEqual(['up', 'up']);
      });
    }
  }

  test('that we see ourselves is sent to nobody', async () => {
    const { first, second, chat, outcomes } = await twoClouds();
    for (const wrong of [{ model: 'sim-model' }, { messages: 'hi' }, { ...ask(), stream: 'yes' }]) {
      const response = await chat(wrong);
      expect([response.status, (await response.json()).error.type]).toEqual([400, 'invalid_request_error']);
    }
    expect([inference(first), inference(second), outcomes]).toEqual([[], [], []]);
  });
});

describe('F-21 a key that the provider refuses', () => {
  for (const status of [401, 402, 403]) {
    test(`(${status}) is never shown as the client's own, and the provider is left alone until a person acts`, async () => {
      const { first, second, chat, gateway } = await twoClouds();
      await first.setFault({ kind: 'status', status });
      for (let n = 0; n < 4; n++) expect((await chat(ask())).status).toBe(200);
      expect([inference(first).length, inference(second).length]).toEqual([1, 4]);
      // Its server is well: only the key is not.
      expect(gateway.targets()[0]?.health).toBe('up');
      await second.setFault({ kind: 'status', status });
      const response = await chat(ask());
      expect(response.status).toBe(502);
      expect((await response.json()).error.code).toBe(
        status === 402 ? 'upstream_quota_exhausted' : 'upstream_auth_failed',
      );
    });
  }
});

describe('F-22 a rate limit', () => {
  test('means elsewhere now: nobody waits while another provider answers, and it is healthy', async () => {
    const { first, second, chat, gateway } = await twoClouds();
    await first.setFault(limited({ 'retry-after': '30' }));
    for (let n = 0; n < 8; n++) {
      const response = await chat(ask());
      expect([response.status, servedBy(response)]).toEqual([200, 'second']);
      await response.text();
    }
    expect([inference(first).length, inference(second).length]).toEqual([1, 8]);
    expect(gateway.targets().map(({ health }) => health)).toEqual(['up', 'up']);
  });

  test('of all is told to the client with the shortest of the waits', async () => {
    const { first, second, chat } = await twoClouds();
    await first.setFault(limited({ 'retry-after': '40' }));
    await second.setFault(limited({ 'retry-after-ms': '21000' }));
    await (await chat(ask())).text();
    const response = await chat(ask());
    expect([response.status, (await response.json()).error.code]).toEqual([429, 'rate_limit_exceeded']);
    const seconds = Number(response.headers.get('retry-after'));
    expect([seconds > 15, seconds <= 21]).toEqual([true, true]);
    expect([inference(first).length, inference(second).length]).toEqual([1, 1]);
  });

  test('that asks for a year is believed for five minutes at most', async () => {
    const { first, second, chat } = await twoClouds();
    for (const server of [first, second]) await server.setFault(limited({ 'retry-after': '31536000' }));
    await (await chat(ask())).text();
    const response = await chat(ask());
    await response.text();
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(300);
  });

  test('that is over lets the provider serve again', async () => {
    const { first, second, chat } = await twoClouds();
    await first.setFault(limited({ 'retry-after-ms': '80' }));
    await (await chat(ask())).text();
    await first.setFault(null);
    await second.kill();
    await until('it serves', async () => servedBy(await chat(ask())) === 'first');
  });
});

describe('F-23 a model that its server does not have any more', () => {
  test('is not asked of that server again, others serve it, and nobody is called broken', async () => {
    const { first, second, chat, gateway } = await twoClouds();
    await first.setFault({ kind: 'status', status: 404, body: coded('model_not_found') });
    for (let n = 0; n < 4; n++) {
      const response = await chat(ask());
      expect([response.status, servedBy(response)]).toEqual([200, 'second']);
      await response.text();
    }
    expect(inference(first).length).toBe(1);
    expect(gateway.targets().map(({ health }) => health)).toEqual(['up', 'up']);
    await second.setFault({ kind: 'status', status: 404, body: coded('model_not_found') });
    const response = await chat(ask());
    expect([response.status, (await response.json()).error.code]).toEqual([404, 'model_not_found']);
  });
});

describe('F-25 a server that fails', () => {
  test('is never asked twice for the same request and is taken out after five failures', async () => {
    const { first, second, chat, gateway } = await twoClouds();
    const schedule = [500, 502, 504, 501, 505];
    for (const status of schedule) {
      first.faultNext(1, { kind: 'status', status });
      // Of two clouds the one that rested longest comes first: the second request is the other one's.
      while (inference(first).at(-1)?.status !== status) expect((await chat(ask())).status).toBe(200);
    }
    expect(
      inference(first)
        .filter(({ fault }) => fault !== null)
        .map(({ status }) => status),
    ).toEqual(schedule);
    expect(inference(second).length).toBeGreaterThanOrEqual(schedule.length);
    expect(gateway.targets().map(({ health }) => health)).toEqual(['down', 'up']);
  });

  test('and one that is overloaded (529) prefers another provider to itself', async () => {
    const { first, second, chat, gateway } = await twoClouds();
    await first.setFault({
      kind: 'status',
      status: 529,
      body: coded('overloaded_error'),
      headers: { 'retry-after-ms': '0' },
    });
    const response = await chat(ask());
    expect([response.status, servedBy(response)]).toEqual([200, 'second']);
    expect([inference(first).length, inference(second).length]).toEqual([1, 1]);
    expect(gateway.targets()[0]?.health).toBe('up');
  });
});

const OVERFLOWS: readonly (readonly [SimulatorKind, number, unknown])[] = [
  ['openai-compatible', 400, coded('context_length_exceeded')],
  [
    'vllm',
    400,
    {
      object: 'error',
      message: "This model's maximum context length is 8 tokens.",
      type: 'BadRequestError',
      code: 400,
    },
  ],
  [
    'llama-cpp',
    400,
    {
      error: {
        code: 400,
        message: 'request (9 tokens) exceeds the available context size (8 tokens)',
        type: 'exceed_context_size_error',
      },
    },
  ],
  ['lm-studio', 400, { error: 'Trying to keep the first 9 tokens when context the overflows. n_keep: 9 >= n_ctx: 8' }],
  ['ollama', 500, { error: { message: 'the input length exceeds the context length' } }],
  [
    'sglang',
    400,
    {
      error: {
        message: 'Input length (9 tokens) exceeds the maximum context length (8 tokens).',
        type: 'BadRequestError',
      },
    },
  ],
  ['openrouter', 400, { error: { code: 400, message: "This endpoint's maximum context length is 8 tokens." } }],
  [
    'azure-openai',
    400,
    { error: { code: 'context_length_exceeded', message: 'too long', type: 'invalid_request_error' } },
  ],
];

describe('F-27 a prompt that is too long', () => {
  for (const [kind, status, body] of OVERFLOWS) {
    test(`for ${kind} may fit elsewhere; else the client is told so in one code, and nobody is blamed`, async () => {
      const small = await parts.simulator({ kind });
      const large = await parts.simulator({ kind: 'openai-compatible' });
      const { chat, gateway } = await parts.gateway([
        targetFor(small, { id: 'small', place: 'local' }),
        targetFor(large, { id: 'large', place: 'cloud' }),
      ]);
      await small.setFault({ kind: 'status', status, body });
      expect(servedBy(await chat(ask()))).toBe('large');
      await large.setFault({ kind: 'status', status: 500 });
      const response = await chat(ask());
      expect([response.status, (await response.json()).error.code]).toEqual([400, 'context_length_exceeded']);
      expect(gateway.targets().map(({ health }) => health)).toEqual(['up', 'up']);
    });
  }
});

describe('F-28 a prompt that the provider filters', () => {
  for (const body of [
    coded('content_filter'),
    { error: { code: 'content_filter', message: 'no', innererror: { code: 'ResponsibleAIPolicyViolation' } } },
    { error: { code: 403, message: 'flagged', metadata: { reasons: ['violence'], flagged_input: 'x' } } },
  ]) {
    test(`is not taken to a laxer one: ${JSON.stringify(body).slice(0, 60)}`, async () => {
      const { first, second, chat, gateway } = await twoClouds();
      for (const server of [first, second]) await server.setFault({ kind: 'status', status: 400, body });
      const response = await chat(ask());
      expect([response.status, (await response.json()).error.code]).toEqual([400, 'content_filter']);
      expect(inference(first).length + inference(second).length).toBe(1);
      expect(gateway.targets().map(({ health }) => health)).toEqual(['up', 'up']);
    });
  }
});

describe('credentials and what else must not cross', () => {
  test('on failover from A to B, B never sees the key of A, nor the headers and cookies of the client', async () => {
    const keys = { first: 'key-of-first-0123456789', second: 'key-of-second-0123456789' };
    const first = await parts.simulator({ kind: 'openai-compatible', apiKey: keys.first });
    const second = await parts.simulator({ kind: 'openai-compatible', apiKey: keys.second });
    const { chat } = await parts.gateway([
      targetFor(first, { id: 'first', place: 'cloud', apiKey: new Secret(keys.first) }),
      targetFor(second, { id: 'second', place: 'cloud', apiKey: new Secret(keys.second) }),
    ]);
    await first.setFault({ kind: 'status', status: 500 });
    const response = await chat(ask(), {
      headers: {
        authorization: 'Bearer key-of-client',
        'x-api-key': 'key-of-client',
        cookie: 'session=secret-cookie',
        'x-forwarded-for': '10.9.8.7',
        forwarded: 'for=10.9.8.7',
        'proxy-authorization': 'Basic secret-proxy',
        te: 'trailers',
        upgrade: 'h2c',
        'x-custom': 'secret-custom',
      },
    });
    expect([response.status, servedBy(response)]).toEqual([200, 'second']);
    await response.text();
    expect(inference(first)[0]?.headers['authorization']).toBe(`Bearer ${keys.first}`);
    expect(inference(second)[0]?.headers['authorization']).toBe(`Bearer ${keys.second}`);
    const [toFirst, toSecond] = [first, second].map((server) => JSON.stringify(inference(server)));
    expect(toFirst).not.toContain(keys.second);
    expect(toSecond).not.toContain(keys.first);
    for (const secret of ['key-of-client', 'secret-cookie', '10.9.8.7', 'secret-proxy', 'secret-custom', 'h2c'])
      expect(`${toFirst}${toSecond}`).not.toContain(secret);
  });

  test('L-16 no header of an upstream reaches the client but those that the gateway makes itself', async () => {
    const raw = await parts.rawServer({
      chat: ({ socket }) =>
        void socket.write(
          httpReply(completion('fine'), {
            'set-cookie': 'session=stolen',
            connection: 'keep-alive, x-evil',
            'x-evil': 'evil',
            'access-control-allow-origin': '*',
            'x-swarmrouter-target': 'forged',
            'x-request-id': 'forged',
            'content-encoding': 'identity',
            location: 'http://evil.example',
            server: 'evil',
          }),
        ),
    });
    const { chat } = await parts.gateway([targetOfRaw(raw)]);
    const response = await chat(ask());
    expect([response.status, servedBy(response)]).toEqual([200, 'raw']);
    await response.text();
    const own = ['content-length', 'content-type', 'date', 'x-request-id'];
    const names = [...response.headers.keys()].filter((name) => !name.startsWith('x-swarmrouter-'));
    expect(names.filter((name) => !own.includes(name))).toEqual([]);
    expect(JSON.stringify([...response.headers])).not.toMatch(/evil|forged|stolen/);
  });
});
