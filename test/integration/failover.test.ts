import { describe, expect, test } from 'bun:test';
import OpenAI from 'openai';
import type { Fault } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import { targetOf } from '../support/fleet.ts';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const CLOUD_MODEL = 'openai/gpt-4o-mini';

async function studioAndCloud(clocks: Partial<ReturnType<typeof targetFor>['clocks']> = {}) {
  const studio = await simulator({ kind: 'lm-studio', replyTokens: 30, tokensPerSecond: 500 });
  const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }], replyTokens: 30 });
  const target = targetFor(studio);
  const started = await gateway([{ ...target, clocks: { ...target.clocks, ...clocks } }, targetFor(cloud)], {
    probeIntervalMs: 60_000,
  });
  return { studio, cloud, ...started };
}

const QUICK = { firstByteMs: 150, firstTokenMs: 150, idleMs: 150 };

const BEFORE_CONTENT: readonly [string, Fault][] = [
  ['F-04 junk that is not HTTP', { kind: 'junk' }],
  ['F-06 silence instead of headers', { kind: 'hang' }],
  ['F-07 headers, then silence', { kind: 'headers-only' }],
  ['F-07 comments only', { kind: 'comments-only', everyMs: 20 }],
  ['F-10 a reset before the first byte', { kind: 'reset-before-headers' }],
  ['F-10 a reset before the first content', { kind: 'reset', afterChunks: 0 }],
  ['F-11 a clean end without content', { kind: 'clean-end', afterChunks: 0 }],
  ['F-12 an error event before the first content', { kind: 'error-in-stream', afterChunks: 0 }],
  ['F-12 an `event: error` before the first content', { kind: 'error-in-stream', afterChunks: 0, shape: 'event' }],
  ['F-13 a line that is not JSON', { kind: 'bad-json-line', afterChunks: 0 }],
  ['F-18 an HTML page', { kind: 'html' }],
  ['F-19 status 200 with an error body', { kind: 'error-with-200' }],
  ['F-19 an empty answer', { kind: 'empty' }],
  ['F-19 empty choices', { kind: 'empty-choices' }],
  ['F-21 a refused key', { kind: 'status', status: 401 }],
  ['F-22 a rate limit', { kind: 'status', status: 429 }],
  ['F-23 a missing model', { kind: 'status', status: 404 }],
  ['F-25 an internal error', { kind: 'status', status: 500 }],
  ['F-26 a model that is loading', { kind: 'status', status: 503 }],
  ['F-29 a redirect', { kind: 'redirect', location: 'http://127.0.0.1:9/' }],
];

describe('before the first content every fault is hidden by another target', () => {
  for (const [name, fault] of BEFORE_CONTENT) {
    for (const stream of [true, false]) {
      test(`${name}, ${stream ? 'streamed' : 'whole'}`, async () => {
        const { studio, chat, outcomes } = await studioAndCloud(QUICK);
        await studio.setFault(fault);
        const response = await chat({
          stream,
          model: 'gpt-4o-mini',
          messages: [{ role: 'user', content: 'canary:ONE' }],
        });
        expect([response.status, servedBy(response), response.headers.get('x-swarmrouter-attempts')]).toEqual([
          200,
          'openrouter',
          '2',
        ]);
        if (stream) {
          const events = await readEvents(response);
          expect(contentOf(events)).toContain('canary:ONE');
          expect(events.at(-1)).toBe('[DONE]');
        } else expect((await response.json()).choices[0].message.content).toContain('canary:ONE');
        expect(outcomes.map((outcome) => outcome.kind)).toEqual(['served']);
        expect(outcomes[0]?.attempts[0]?.failure).not.toBeNull();
      });
    }
  }
});

const AFTER_CONTENT: readonly [string, Fault, string][] = [
  ['F-08 a stall', { kind: 'stall', afterChunks: 3 }, 'upstream_timeout'],
  ['F-10 a reset', { kind: 'reset', afterChunks: 3 }, 'upstream_'],
  ['F-11 a clean end without the end marker', { kind: 'clean-end', afterChunks: 3 }, 'upstream_truncated'],
  ['F-11 a cut connection', { kind: 'cut', afterChunks: 3 }, 'upstream_'],
  ['F-12 an error event', { kind: 'error-in-stream', afterChunks: 3 }, ''],
  ['F-13 a line that is not JSON', { kind: 'bad-json-line', afterChunks: 3 }, 'upstream_invalid_response'],
];

describe('after the first content a fault ends the stream with a typed error, never silently', () => {
  for (const [name, fault, code] of AFTER_CONTENT) {
    test(name, async () => {
      const { studio, cloud, chat, outcomes } = await studioAndCloud(QUICK);
      await studio.setFault(fault);
      const events = await readEvents(await chat({ stream: true, messages: [{ role: 'user', content: 'hi' }] }));
      expect(contentOf(events)).not.toBe('');
      expect(events.at(-1)).toMatchObject({
        error: { message: expect.any(String), code: expect.stringContaining(code) },
      });
      expect(events).not.toContain('[DONE]');
      expect(inference(cloud)).toEqual([]);
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(['cut']);
    });

    test(`${name}: the official client raises it as an exception`, async () => {
      const { studio, url } = await studioAndCloud(QUICK);
      await studio.setFault(fault);
      const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused' });
      const stream = await client.chat.completions.create({
        model: 'auto',
        stream: true,
        messages: [{ role: 'user', content: 'hi' }],
      });
      const read = async () => {
        for await (const chunk of stream) expect(chunk.choices).toBeDefined();
      };
      await expect(read()).rejects.toBeInstanceOf(OpenAI.APIError);
    });
  }
});

describe('a server that breaks every answer', () => {
  test('is taken out after five of them, though each began well', async () => {
    const { studio, cloud, chat } = await studioAndCloud();
    await studio.setFault({ kind: 'reset', afterChunks: 2 });
    for (let n = 0; n < 5; n++)
      await readEvents(await chat({ stream: true, messages: [{ role: 'user', content: 'hi' }] }));
    const events = await readEvents(
      await chat({ model: 'gpt-4o-mini', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
    );
    expect(events.at(-1)).toBe('[DONE]');
    expect([inference(studio).length, inference(cloud).length]).toEqual([5, 1]);
  });
});

describe("a client's own mistake goes to nobody else", () => {
  for (const status of [400, 413, 422]) {
    test(`F-20 status ${status}`, async () => {
      const { studio, cloud, chat } = await studioAndCloud();
      await studio.setFault({ kind: 'status', status });
      const response = await chat('hi');
      expect([response.status, response.headers.get('x-should-retry')]).toEqual([status, 'false']);
      expect((await response.json()).error.type).toBe('invalid_request_error');
      expect(inference(cloud)).toEqual([]);
    });
  }
});

describe('an error reply that breaks off', () => {
  for (const stream of [false, true]) {
    test(`${stream ? 'streamed' : 'whole'}: says nothing about the request, so another server answers`, async () => {
      const small = await simulator({ kind: 'openai-compatible', models: [{ id: CLOUD_MODEL, contextLength: 2 }] });
      const large = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
      const { chat } = await gateway([targetFor(small), targetFor(large)]);
      const long = { model: CLOUD_MODEL, stream, messages: [{ role: 'user', content: 'too long for the first' }] };
      await small.setFault({ kind: 'reset-after-bytes', bytes: 20 });
      const response = await chat(long);
      expect([response.status, servedBy(response)]).toEqual([200, 'openrouter']);
      expect(small.log.filter(({ status }) => status === 400)).toHaveLength(1);
      await response.text();
    });
  }
});

describe('when nobody can answer', () => {
  test('the retry limit bounds the attempts, and the client is told not to multiply them', async () => {
    const upstreams = await Promise.all(
      Array.from({ length: 4 }, (_, index) =>
        simulator({ kind: 'openai-compatible', name: `n${index}`, models: [{ id: 'm' }] }),
      ),
    );
    for (const upstream of upstreams) await upstream.setFault({ kind: 'status', status: 500 });
    const targets = upstreams.map((upstream, index) => targetFor(upstream, { id: `n${index}`, place: 'local' }));
    const { chat, outcomes } = await gateway(targets, { maxRetries: 2 });
    const response = await chat('hi');
    expect([
      response.status,
      response.headers.get('x-should-retry'),
      response.headers.get('x-swarmrouter-attempts'),
    ]).toEqual([502, 'false', '3']);
    expect(upstreams.map((upstream) => inference(upstream).length).toSorted()).toEqual([0, 1, 1, 1]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['exhausted']);
  });

  test('a refused upstream key never looks like the client’s own', async () => {
    const cloud = await simulator({ kind: 'openrouter', apiKey: 'right', models: [{ id: CLOUD_MODEL }] });
    const { chat } = await gateway([targetFor(cloud)]);
    const response = await chat({ model: CLOUD_MODEL, messages: [{ role: 'user', content: 'hi' }] });
    expect(response.status).toBeGreaterThanOrEqual(502);
    expect(await response.text()).not.toContain('right');
  });

  test('a fleet that is down is refused at once', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const { chat } = await gateway([targetFor(studio)], { probeIntervalMs: 50 });
    await studio.kill();
    await until('it is seen to be down', async () => (await chat('hi')).headers.get('x-swarmrouter-attempts') === null);
    const response = await chat('hi');
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await response.json()).error.code).toBe('no_target_available');
  });

  test('F-07 comments only from a cloud provider that was asked for a whole reply: another one answers', async () => {
    const mute = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
    const other = await simulator({ kind: 'azure-openai', models: [{ id: 'gpt-4o-mini' }] });
    await mute.setFault({ kind: 'comments-only', everyMs: 20 });
    const clocks = { ...targetFor(mute).clocks, firstTokenMs: 150 };
    const { chat } = await gateway([
      targetFor(mute, { clocks }),
      targetFor(other, { deployments: { 'gpt-4o-mini': 'gpt-4o-mini' } }),
    ]);
    const response = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
    expect([response.status, servedBy(response)]).toEqual([200, 'azure']);
  });

  test('the reply must begin before the request clock ends', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    await studio.setFault({ kind: 'hang' });
    const { chat } = await gateway([targetFor(studio)], { requestTimeoutMs: 120 });
    const response = await chat('hi');
    expect([response.status, (await response.json()).error.code]).toEqual([504, 'upstream_timeout']);
  });
});

describe('a client that goes away', () => {
  for (const phase of ['before the first byte', 'while streaming', 'in a whole reply'] as const) {
    test(`${phase}: the upstream's socket closes, the slot is free, the target is not blamed`, async () => {
      const studio = await simulator({
        kind: 'lm-studio',
        replyTokens: 1_000,
        tokensPerSecond: 100,
        firstTokenMs: phase === 'while streaming' ? 5 : 2_000,
      });
      const { chat, gateway: started, outcomes } = await gateway([targetFor(studio)]);
      const client = new AbortController();
      const asked = chat(
        { stream: phase !== 'in a whole reply', messages: [{ role: 'user', content: 'hi' }] },
        { signal: client.signal },
      );
      if (phase === 'while streaming') await (await asked).body?.getReader().read();
      else await until('it reached the server', () => studio.active() === 1);
      client.abort();
      await asked.catch(() => null);
      await until('the server is idle again', () => studio.active() === 0 && inference(studio)[0]?.aborted === true);
      await until('the slot is free', () => started.targets()[0]?.inFlight === 0 && outcomes.length === 1);
      expect(outcomes[0]?.kind).toBe('abandoned');
      expect(started.targets()[0]).toMatchObject({ health: 'up', stats: { errors: 0 } });
    });
  }

  test('in the queue: it never reaches a server', async () => {
    const studio = await simulator({ kind: 'lm-studio', firstTokenMs: 200 });
    const { chat, gateway: started } = await gateway([targetFor(studio, { maxConcurrent: 1 })]);
    const first = chat('hi');
    await until('the first one runs', () => studio.active() === 1);
    const client = new AbortController();
    const second = chat('hi', { signal: client.signal }).catch(() => null);
    await until('the second one waits', () => started.targets()[0]?.queued === 1);
    client.abort();
    await second;
    await until('the queue is empty', () => started.targets()[0]?.queued === 0);
    expect((await first).status).toBe(200);
    expect(inference(studio).length).toBe(1);
  });
});

describe('what a hostile upstream says', () => {
  test('a word such as "constructor" as its error code is only a word', async () => {
    for (const code of ['constructor', '__proto__', 'toString']) {
      const { studio, chat, outcomes } = await studioAndCloud();
      await studio.setFault({ kind: 'status', status: 500, body: { error: { message: 'x', code, type: code } } });
      const response = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
      expect([response.status, servedBy(response)]).toEqual([200, 'openrouter']);
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(['served']);
    }
  });

  test('the provider’s key that an upstream repeats reaches neither the client nor the status', async () => {
    const key = 'azure0canary0key0123456789abcdef';
    const cloud = await simulator({ kind: 'openai-compatible', models: [{ id: 'm' }] });
    await cloud.setFault({
      kind: 'status',
      status: 401,
      body: { error: { message: `The key ${key} is wrong`, code: key } },
    });
    const started = await gateway([targetFor(cloud, { place: 'cloud', apiKey: new Secret(key) })]);
    const response = await started.chat({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
    expect(response.status).toBe(502);
    expect(await response.text()).not.toContain(key);
    expect(JSON.stringify([started.outcomes, started.gateway.targets()])).not.toContain(key);
    expect(JSON.stringify(started.outcomes)).toContain('[secret]');
  });

  test('a very long model name does not break the reply for the client', async () => {
    const cloud = await simulator({
      kind: 'openai-compatible',
      models: [{ id: 'm', underlyingModel: 'x'.repeat(200_000) }],
    });
    const { chat } = await gateway([targetFor(cloud, { place: 'cloud' })]);
    const response = await chat({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
    expect(response.status).toBe(200);
    expect((response.headers.get('x-swarmrouter-model') ?? '').length).toBeLessThan(300);
  });

  test('a reply without end, joined from a stream, is given up before it fills the memory', async () => {
    const endless = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      routes: {
        '/v1/models': () => Response.json({ object: 'list', data: [{ id: 'm', object: 'model' }] }),
        '/v1/chat/completions': () =>
          new Response(endlessStream(), { headers: { 'content-type': 'text/event-stream' } }),
      },
      fetch: () => new Response(null, { status: 404 }),
    });
    try {
      const target = {
        ...targetOf({ id: 'endless', kind: 'openai-compatible', place: 'local' }),
        baseUrl: `${endless.url}v1`,
      };
      const { chat } = await gateway([target]);
      const response = await chat({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
      expect([response.status, (await response.json()).error.code]).toEqual([502, 'upstream_invalid_response']);
    } finally {
      await endless.stop(true);
    }
  });
});

function endlessStream(): ReadableStream<Uint8Array> {
  const content = 'x'.repeat(1_000_000);
  const event = new TextEncoder().encode(
    `data: {"model":"m","choices":[{"index":0,"delta":{"content":"${content}"}}]}\n\n`,
  );
  return new ReadableStream({ pull: (controller) => controller.enqueue(event) });
}
