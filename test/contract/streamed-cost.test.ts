import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Simulator, startSimulator } from '../../simulators/index.ts';
import { createAdapters } from '../../src/adapters/index.ts';
import type { ProviderAdapter } from '../../src/core/adapter.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import { type CallCost, costOf, tokenPrice } from '../../src/core/price.ts';
import { Secret } from '../../src/core/secret.ts';
import { ADAPTER_KINDS, type AdapterKind, type Target } from '../../src/core/target.ts';
import type { Usage } from '../../src/core/usage.ts';
import { systemClock } from '../../src/system-clock.ts';
import { asStream, asWhole, callOf, readStream, targetOf } from './adapters-support.ts';

const KEY = 'sk-contract-0123456789';
const adapters = createAdapters({ clock: systemClock });

/** Each class at a rate of its own: two that are mixed up do not cost the same. */
const PRICE = tokenPrice('override', {
  input: 1_000_000_007,
  cachedInput: 100_000_007,
  cacheWrite: 1_250_000_011,
  audioInput: 40_000_000_003,
  imageInput: 5_000_000_029,
  output: 10_000_000_019,
  reasoning: 12_000_000_017,
  audioOutput: 80_000_000_023,
  imageOutput: 30_000_000_001,
});

function adapterFor(kind: AdapterKind): ProviderAdapter {
  const adapter = adapters.get(kind);
  if (adapter === undefined) throw new Error(`no adapter for ${kind}`);
  return adapter;
}

function costed(usage: Usage | null): CallCost {
  if (usage === null) throw new Error('no usage was reported');
  return costOf(usage, PRICE);
}

async function costs(target: Target): Promise<{ whole: CallCost; streamed: CallCost; unasked: CallCost }> {
  const call = (body: object) => adapterFor(target.adapterKind).call(callOf(target, { ...body }), new Cancellation());
  const streamCost = async (body: object): Promise<CallCost> => {
    const reply = asStream(await call({ stream: true, ...body }));
    await readStream(reply);
    return costed(reply.usage);
  };
  return {
    whole: costed(asWhole(await call({})).usage),
    streamed: await streamCost({ stream_options: { include_usage: true } }),
    unasked: await streamCost({}),
  };
}

describe.each([...ADAPTER_KINDS])('an answer of %s', (kind) => {
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await startSimulator({
      kind,
      apiKey: KEY,
      models: [{ id: 'sim-model' }],
      replyTokens: 6,
      firstTokenMs: 1,
    });
  });
  afterAll(() => simulator.stop());

  test('costs the same whole and streamed, whether or not the client asks for usage', async () => {
    const target = targetOf(kind, simulator.baseUrl, { apiKey: new Secret(KEY), defaultModel: 'sim-model' });
    const { whole, streamed, unasked } = await costs(target);
    expect(whole.nanoUsd).toBeGreaterThan(0);
    expect(streamed).toEqual(whole);
    expect(unasked).toEqual(whole);
  });
});

describe('whatever a provider reports', () => {
  let usage: object = {};
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { stream } = (await request.json()) as { stream?: boolean };
      const head = { id: 'c', created: 1, model: 'm' };
      const message = { role: 'assistant', content: 'hello' };
      const choice = { index: 0, finish_reason: 'stop' };
      if (stream !== true)
        return Response.json({ ...head, object: 'chat.completion', choices: [{ ...choice, message }], usage });
      const chunk = { ...head, object: 'chat.completion.chunk' };
      const events = [
        { ...chunk, choices: [{ ...choice, delta: message }] },
        { ...chunk, choices: [], usage },
      ];
      const text = `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}data: [DONE]\n\n`;
      return new Response(text, { headers: { 'content-type': 'text/event-stream' } });
    },
  });
  afterAll(() => server.stop(true));

  test('it costs the same whole and streamed', async () => {
    const count = fc.oneof(fc.nat(2_000_000), fc.constantFrom(-1, 1.5, 1e300, null));
    const target = targetOf('openai-compatible', `http://127.0.0.1:${server.port}/v1`);
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          prompt_tokens: fc.nat(2_000_000),
          completion_tokens: fc.integer({ min: 1, max: 100_000 }),
          total_tokens: count,
          cost: fc.oneof(fc.constant(undefined), fc.double({ min: 0, max: 10, noNaN: true }), fc.constant('x')),
          is_byok: fc.boolean(),
          cost_details: fc.record({ upstream_inference_cost: fc.double({ min: 0, max: 10, noNaN: true }) }),
          prompt_tokens_details: fc.option(
            fc.record({ cached_tokens: count, cache_write_tokens: count, audio_tokens: count, image_tokens: count }),
          ),
          completion_tokens_details: fc.option(
            fc.record({ reasoning_tokens: count, audio_tokens: count, image_tokens: count }),
          ),
        }),
        async (reported) => {
          usage = reported;
          const { whole, streamed, unasked } = await costs(target);
          expect(Number.isSafeInteger(whole.nanoUsd)).toBe(true);
          expect(streamed).toEqual(whole);
          expect(unasked).toEqual(whole);
        },
      ),
      { numRuns: 60 },
    );
  });
});
