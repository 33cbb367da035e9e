import { describe, expect, test } from 'bun:test';
import { testClocks } from '../support/fleet.ts';
import { targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();

const CLOUD_MODEL = 'gpt-4o-mini';
const ask = (model = CLOUD_MODEL) => ({ model, messages: [{ role: 'user', content: 'hello' }] });
/** What is slow here is slow for long, so that no test depends on how fast its machine is. */
const SLOW_MS = 20_000;
const patient = { ...testClocks, firstByteMs: 60_000, firstTokenMs: 60_000 };
const LIMITS = { queueTimeoutMs: 60_000, requestTimeoutMs: 60_000 };
const rateLimited = (seconds: number) => ({
  kind: 'status' as const,
  status: 429,
  headers: { 'retry-after': String(seconds) },
  body: { error: { code: 429, message: 'Rate limited' } },
});

describe('who waits goes at once to a server that can serve by now', () => {
  test('when the cloud may be asked again', async () => {
    const local = await simulator({ kind: 'llama-cpp', slots: 1, firstTokenMs: SLOW_MS });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: `openai/${CLOUD_MODEL}` }] });
    const { chat } = await gateway([targetFor(local, { clocks: patient }), targetFor(cloud)], LIMITS);
    const leave = new AbortController();
    const busy = chat(ask(), { signal: leave.signal }).catch(() => null);
    await until('the local slot is taken', () => inference(local).length === 1);
    cloud.faultNext(1, rateLimited(1));
    const trigger = chat(ask());
    await until('the cloud was asked', () => inference(cloud).length === 1);
    const waiting = chat(ask());
    expect([servedBy(await waiting), servedBy(await trigger)]).toEqual(['openrouter', 'openrouter']);
    leave.abort();
    await busy;
  });

  test('when it has the model by now', async () => {
    const full = await simulator({ kind: 'llama-cpp', slots: 1, firstTokenMs: SLOW_MS, models: [{ id: 'm' }] });
    const idle = await simulator({ kind: 'vllm', slots: 4, models: [{ id: 'other' }] });
    const targets = [targetFor(full, { clocks: patient }), targetFor(idle)];
    const { chat } = await gateway(targets, { ...LIMITS, standIn: 'never' });
    const leave = new AbortController();
    const busy = chat(ask('m'), { signal: leave.signal }).catch(() => null);
    await until('the slot is taken', () => inference(full).length === 1);
    const waiting = chat(ask('m'));
    await Bun.sleep(50);
    idle.setBehaviour({ models: [{ id: 'm' }] });
    expect(servedBy(await waiting)).toBe('vllm');
    leave.abort();
    await busy;
  });

  test('when it came back while another one was tried in vain', async () => {
    const [failing, back, full] = await Promise.all(
      [0, 0, SLOW_MS].map((firstTokenMs) => simulator({ kind: 'llama-cpp', slots: 1, firstTokenMs })),
    );
    if (failing === undefined || back === undefined || full === undefined) throw new Error('three were started');
    const hasty = { ...testClocks, firstByteMs: 1_500, firstTokenMs: 1_500 };
    const targets = [
      targetFor(failing, { id: 'failing', clocks: hasty }),
      targetFor(back, { id: 'back', clocks: patient }),
      targetFor(full, { id: 'full', clocks: patient }),
    ];
    const { chat, gateway: started } = await gateway(targets, LIMITS);
    const healthOf = (id: string) => started.targets().find(({ target }) => target.id === id)?.health;
    await back.kill();
    await until('it is seen to be down', () => healthOf('back') !== 'up');
    await failing.setFault({ kind: 'hang' });
    const leave = new AbortController();
    const both = [chat(ask('auto'), { signal: leave.signal }), chat(ask('auto'), { signal: leave.signal })];
    await until('both have a slot', () => inference(failing).length === 1 && inference(full).length === 1);
    await back.revive();
    expect(servedBy(await Promise.race(both))).toBe('back');
    leave.abort();
    await Promise.allSettled(both);
  });

  test('when it came back during the pause that another one asked for', async () => {
    const local = await simulator({ kind: 'llama-cpp', slots: 1 });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: `openai/${CLOUD_MODEL}` }] });
    const { chat, gateway: started } = await gateway([targetFor(local), targetFor(cloud)], LIMITS);
    await local.kill();
    await until('it is seen to be down', () => started.targets()[0]?.health === 'down');
    await cloud.setFault(rateLimited(SLOW_MS / 1000));
    const pausing = chat(ask());
    await until('the cloud was asked', () => inference(cloud).length === 1);
    await local.revive();
    expect(servedBy(await pausing)).toBe('llamacpp');
    expect(inference(cloud)).toHaveLength(1);
  });
});

test('a wait is no longer than its limit, however often servers come and go meanwhile', async () => {
  const [full, flapping] = await Promise.all(
    [SLOW_MS, SLOW_MS].map((firstTokenMs) => simulator({ kind: 'llama-cpp', slots: 1, firstTokenMs })),
  );
  if (full === undefined || flapping === undefined) throw new Error('two were started');
  const targets = [targetFor(full, { id: 'full', clocks: patient }), targetFor(flapping, { id: 'flapping' })];
  const { chat, gateway: started } = await gateway(targets, { ...LIMITS, queueTimeoutMs: 2_000 });
  await flapping.kill();
  await until('it is seen to be down', () => started.targets()[1]?.health === 'down');
  const leave = new AbortController();
  const busy = chat(ask('auto'), { signal: leave.signal }).catch(() => null);
  await until('the slot is taken', () => inference(full).length === 1);
  const startedAtMs = performance.now();
  const waiting = chat(ask('auto'));
  await Bun.sleep(1_200);
  // A server of its kind that comes and goes at once: whoever waits looks anew, and finds nothing.
  await flapping.revive();
  await until('it is seen to be back', () => started.targets()[1]?.health !== 'down');
  await flapping.kill();
  expect((await waiting).status).toBeGreaterThanOrEqual(429);
  expect(performance.now() - startedAtMs).toBeLessThan(2_900);
  leave.abort();
  await busy;
});

test('requests that alternate between two models that do not fit together load each of them for many, not for one', async () => {
  const studio = await simulator({
    kind: 'lm-studio',
    slots: 4,
    loadMs: 2_200,
    models: ['m', 'n'].map((id) => ({ id, state: 'on-disk' as const })),
  });
  const { chat } = await gateway([targetFor(studio, { clocks: patient })], { ...LIMITS, standIn: 'never' });
  const all = await Promise.all(
    Array.from({ length: 16 }, (_, at) => chat(ask(at % 2 === 0 ? 'm' : 'n')).then(({ status }) => status)),
  );
  expect(all.filter((status) => status !== 200)).toEqual([]);
  const loads = Object.values(studio.memory().loads).reduce((sum, count) => sum + count, 0);
  expect(loads).toBeLessThanOrEqual(4);
}, 30_000);

test('that a small server cannot read the prompt is not the last word while a large one is only busy', async () => {
  const small = await simulator({ kind: 'openai-compatible', models: [{ id: 'm', contextLength: 1_000 }] });
  const large = await simulator({ kind: 'openai-compatible', models: [{ id: 'm', contextLength: 100_000 }] });
  const place = 'local' as const;
  const targets = [
    targetFor(small, { id: 'small', provider: 'small', place }),
    targetFor(large, { id: 'large', provider: 'large', place }),
  ];
  const { chat } = await gateway(targets, { maxRetries: 1 });
  await large.setFault(rateLimited(30));
  const long = Array.from({ length: 3_000 }, (_, at) => `w${at}`).join(' ');
  const reply = await chat({ model: 'm', messages: [{ role: 'user', content: long }] });
  expect([reply.status, (await reply.json()).error.code]).toEqual([429, 'rate_limit_exceeded']);
});
