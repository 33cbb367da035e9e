import { describe, expect, test } from 'bun:test';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();

describe('a request goes to the local server while it lives', () => {
  test('whole: the answer, its model and the headers tell who answered', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: [{ id: 'qwen2.5-7b-instruct' }] });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o-mini' }] });
    const { chat, outcomes } = await gateway([targetFor(studio), targetFor(cloud)]);
    const response = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hello canary:ABC' }] });
    expect(response.status).toBe(200);
    const body = await response.json();
    expect(body.model).toBe('qwen2.5-7b-instruct');
    expect(body.object).toBe('chat.completion');
    expect(body.choices[0].message.content).toContain('canary:ABC');
    expect(body.usage.completion_tokens).toBeGreaterThan(0);
    expect(Object.fromEntries([...response.headers].filter(([name]) => name.startsWith('x-swarmrouter')))).toEqual({
      'x-swarmrouter-target': 'lmstudio',
      'x-swarmrouter-provider': 'lm-studio',
      'x-swarmrouter-place': 'local',
      'x-swarmrouter-model': 'qwen2.5-7b-instruct',
      'x-swarmrouter-attempts': '1',
      'x-swarmrouter-reason': 'local, 0 of 4 slots busy; qwen2.5-7b-instruct stands in for gpt-4o-mini',
    });
    expect(inference(cloud)).toEqual([]);
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['served']);
  });

  test('streamed: content comes piece by piece and ends with the end marker', async () => {
    const studio = await simulator({ kind: 'lm-studio', replyTokens: 20 });
    const { chat, outcomes } = await gateway([targetFor(studio)]);
    const response = await chat({ stream: true, messages: [{ role: 'user', content: 'canary:XYZ' }] });
    expect(response.headers.get('content-type')).toStartWith('text/event-stream');
    const events = await readEvents(response);
    expect(events.at(-1)).toBe('[DONE]');
    expect(contentOf(events)).toContain('canary:XYZ');
    expect(events.length).toBeGreaterThan(10);
    expect(outcomes[0]).toMatchObject({ kind: 'served', usage: { completionTokens: expect.any(Number) } });
  });

  test('fields that the router does not know reach the server untouched', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const { chat } = await gateway([targetFor(studio)]);
    await chat({ messages: [{ role: 'user', content: 'hi', odd: [1.5] }], ttl: 60, x_custom: { deep: [null] } });
    expect(inference(studio)[0]?.body).toMatchObject({
      messages: [{ role: 'user', content: 'hi', odd: [1.5] }],
      ttl: 60,
      x_custom: { deep: [null] },
    });
  });

  test('the usage chunk of a stream comes exactly when the client asked for it', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const { chat, outcomes } = await gateway([targetFor(studio)]);
    const messages = [{ role: 'user', content: 'hi' }];
    const usages = (events: unknown[]) => events.filter((event) => (event as { usage?: unknown }).usage != null).length;
    expect(usages(await readEvents(await chat({ stream: true, messages })))).toBe(0);
    const asked = await readEvents(await chat({ stream: true, stream_options: { include_usage: true }, messages }));
    expect(usages(asked)).toBe(1);
    expect(asked.at(-2)).toMatchObject({ choices: [], usage: { completion_tokens: expect.any(Number) } });
    expect(outcomes.every((outcome) => outcome.kind === 'served' && outcome.usage !== null)).toBe(true);
  });
});

describe('when the local server cannot, the cloud does, with no change on the client', () => {
  test('the local server is switched off', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o-mini' }] });
    const { chat } = await gateway([targetFor(studio), targetFor(cloud)], { probeIntervalMs: 60_000 });
    await studio.kill();
    const first = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
    expect([first.status, servedBy(first), first.headers.get('x-swarmrouter-attempts')]).toEqual([
      200,
      'openrouter',
      '2',
    ]);
    const second = await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
    expect([servedBy(second), second.headers.get('x-swarmrouter-attempts')]).toEqual(['openrouter', '1']);
  });

  test('and is used again when it is back', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o-mini' }] });
    const { chat } = await gateway([targetFor(studio), targetFor(cloud)]);
    await studio.kill();
    expect(servedBy(await chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] }))).toBe(
      'openrouter',
    );
    await studio.revive();
    await until('LM Studio answers again', async () => servedBy(await chat('hi')) === 'lmstudio');
  });

  test('all its slots are taken', async () => {
    const studio = await simulator({ kind: 'lm-studio', slots: 1, firstTokenMs: 300 });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o-mini' }] });
    const { chat } = await gateway([targetFor(studio, { maxConcurrent: 1 }), targetFor(cloud)]);
    const ask = () => chat({ model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }] });
    const running = ask();
    await until('the first one runs', () => studio.active() === 1);
    const second = await ask();
    const first = await running;
    expect([servedBy(first), servedBy(second)]).toEqual(['lmstudio', 'openrouter']);
    expect(second.headers.get('x-swarmrouter-reason')).toStartWith('overflow: all local slots full');
  });

  test('several cloud providers take turns', async () => {
    const a = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o' }] });
    const b = await simulator({ kind: 'azure-openai', apiKey: null, models: [{ id: 'my-gpt4o' }] });
    const { chat } = await gateway([targetFor(a), targetFor(b, { deployments: { 'gpt-4o': 'my-gpt4o' } })]);
    const order: (string | null)[] = [];
    for (let n = 0; n < 6; n++)
      order.push(servedBy(await chat({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hi' }] })));
    expect(order).toEqual(['openrouter', 'azure', 'openrouter', 'azure', 'openrouter', 'azure']);
  });
});

describe('without a cloud', () => {
  test('a request waits in the queue for a local slot, and no more than the slots run at once', async () => {
    const studio = await simulator({ kind: 'lm-studio', firstTokenMs: 30 });
    const { chat } = await gateway([targetFor(studio, { maxConcurrent: 2 })]);
    const responses = await Promise.all(Array.from({ length: 10 }, () => chat('hi')));
    expect(responses.map((response) => response.status)).toEqual(Array(10).fill(200));
    expect(studio.peakActive()).toBe(2);
  });

  test('a queue that does not move ends in an error that SDKs understand', async () => {
    const studio = await simulator({ kind: 'lm-studio', firstTokenMs: 1_500 });
    const { chat } = await gateway([targetFor(studio, { maxConcurrent: 1 })], { queueTimeoutMs: 100 });
    const running = chat('hi');
    await until('the first one runs', () => studio.active() === 1);
    const refused = await chat('hi');
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('x-should-retry')]).toEqual([
      429,
      '1',
      'false',
    ]);
    expect((await refused.json()).error).toMatchObject({ code: 'rate_limit_exceeded' });
    expect((await running).status).toBe(200);
  });

  test('the only target is asked again after a pause where the request was surely not processed', async () => {
    const studio = await simulator({ kind: 'lm-studio' });
    const { chat } = await gateway([targetFor(studio)]);
    studio.faultNext(2, { kind: 'status', status: 503, headers: { 'retry-after-ms': '20' } });
    const response = await chat('hi');
    expect([response.status, response.headers.get('x-swarmrouter-attempts')]).toEqual([200, '3']);
  });
});

describe('before the first round of probes has ended', () => {
  test('a request waits for it and is then planned', async () => {
    const studio = await simulator({ kind: 'lm-studio', models: [{ id: 'm' }] });
    await studio.setFault({ kind: 'slow', extraMs: 150, scope: 'listing' });
    const early = await gateway([targetFor(studio)], { awaitProbes: false, probeIntervalMs: 60_000 });
    expect(early.gateway.targets()[0]?.health).toBe('unknown');
    expect(servedBy(await early.chat('hi'))).toBe('lmstudio');
  });
});
