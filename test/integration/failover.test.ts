import { describe, expect, test } from 'bun:test';
import { Secret } from '../../src/core/secret.ts';
import { targetOf } from '../support/fleet.ts';
import { targetFor, until } from '../support/gateway.ts';
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

describe('when many servers of one place fail together', () => {
  for (const fault of [
    { kind: 'status', status: 500 },
    { kind: 'status', status: 429 },
    { kind: 'status', status: 401 },
  ] as const) {
    test(`with ${fault.status}: the last attempt is the cloud's`, async () => {
      const studios = await studiosNamed(5);
      for (const studio of studios) await studio.setFault(fault);
      const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
      const locals = studios.map((studio, n) => targetFor(studio, { id: `n${n}` }));
      const { chat } = await gateway([...locals, targetFor(cloud)], { retryDelayMs: 1 });
      const response = await chat({ model: CLOUD_MODEL, messages: [{ role: 'user', content: 'hi' }] });
      expect([response.status, servedBy(response)]).toEqual([200, 'openrouter']);
      expect(studios.flatMap(inference)).toHaveLength(3);
    });
  }

  test('by being switched off: as many as it takes are passed over', async () => {
    const studios = await studiosNamed(7);
    const locals = studios.map((studio, n) => targetFor(studio, { id: `n${n}` }));
    const { chat } = await gateway(locals, { probeIntervalMs: 60_000 });
    for (const studio of studios.slice(0, 6)) await studio.kill();
    const response = await chat('hi');
    expect([response.status, servedBy(response)]).toEqual([200, 'n6']);
  });

  const studiosNamed = (count: number) =>
    Promise.all(Array.from({ length: count }, (_, n) => simulator({ kind: 'lm-studio', name: `n${n}` })));
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

  test('F-08 comments instead of content in a reply that is joined from a stream do not keep it alive', async () => {
    const { studio, chat } = await studioAndCloud({ idleMs: 600 });
    await studio.setFault({ kind: 'stall', afterChunks: 3, commentsEveryMs: 20 });
    const startedAtMs = performance.now();
    const response = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
    expect([response.status, servedBy(response)]).toEqual([200, 'openrouter']);
    // Not before its idle clock.
    expect(performance.now() - startedAtMs).toBeGreaterThan(590);
  });

  test('F-07 comments only from a cloud provider that was asked for a whole reply: another one answers', async () => {
    const mute = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
    const other = await simulator({ kind: 'azure-openai', models: [{ id: 'gpt-4o-mini' }] });
    await mute.setFault({ kind: 'comments-only', everyMs: 20 });
    const clocks = { ...targetFor(mute).clocks, firstTokenMs: 600 };
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
