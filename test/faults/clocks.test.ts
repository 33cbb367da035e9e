import { describe, expect, test } from 'bun:test';
import type { TargetClocks } from '../../src/core/target.ts';
import { CountingClock } from '../support/counting-clock.ts';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { contentOf, readEvents, until } from '../support/gateway.ts';
import { inference, servedBy } from '../support/running.ts';

const parts = faultParts();
const HOUR_MS = 3_600_000;
/** So long that a test which waits for it has failed. */
const NEVER_MS = 60_000;
const PATIENT: TargetClocks = {
  connectMs: 2_000,
  firstByteMs: NEVER_MS,
  firstTokenMs: NEVER_MS,
  idleMs: NEVER_MS,
  warmupMs: NEVER_MS,
  streamMs: NEVER_MS,
  queueMs: null,
};

const ask = (stream = false) => ({ model: 'sim-model', stream, messages: [{ role: 'user', content: 'canary:ONE' }] });

async function serverWith(clocks: Partial<TargetClocks>, change: Parameters<typeof parts.gateway>[1] = {}) {
  const server = await parts.simulator({ kind: 'vllm', replyTokens: 20 });
  const target = targetFor(server, { clocks: { ...PATIENT, ...clocks } });
  return { server, ...(await parts.gateway([target], { requestTimeoutMs: NEVER_MS, ...change })) };
}

describe('each clock by itself, all others too long to matter', () => {
  for (const [name, clocks, fault] of [
    ['F-06 no status line', { firstByteMs: 300 }, { kind: 'hang' }],
    ['F-07 a status line and nothing else', { firstTokenMs: 300 }, { kind: 'headers-only' }],
    ['F-07 comments and nothing else', { firstTokenMs: 300 }, { kind: 'comments-only', everyMs: 10 }],
  ] as const) {
    test(`${name}: ${Object.keys(clocks)[0]} ends it`, async () => {
      const { server, chat, outcomes } = await serverWith(clocks);
      await server.setFault(fault);
      const response = await chat(ask(true));
      expect([response.status, (await response.json()).error.code]).toEqual([504, 'upstream_timeout']);
      expect(outcomes[0]?.attempts[0]).toMatchObject({
        failure: 'timeout',
        failureMessage: expect.stringContaining('300 ms'),
      });
      await until('the server is let go', () => inference(server)[0]?.aborted === true);
      expect(inference(server).length).toBe(1);
    });
  }

  test('F-06 a long prompt on a local server is not cut off by any limit but these clocks', async () => {
    const { server, chat } = await serverWith({});
    server.setBehaviour({ firstTokenMs: 1_500 });
    const response = await chat(ask());
    expect(response.status).toBe(200);
    await response.text();
  });

  test('F-08 silence between two chunks: idleMs ends it', async () => {
    const { server, chat } = await serverWith({ idleMs: 200 });
    await server.setFault({ kind: 'stall', afterChunks: 2 });
    expect((await readEvents(await chat(ask(true)))).at(-1)).toMatchObject({ error: { code: 'upstream_timeout' } });
  });

  test('F-08 a stream that never ends: streamMs ends it', async () => {
    const { server, chat } = await serverWith({ streamMs: 600 });
    server.setBehaviour({ replyTokens: 2_000, tokensPerSecond: 100 });
    const events = await readEvents(await chat(ask(true)));
    expect(contentOf(events)).not.toBe('');
    expect(events.at(-1)).toMatchObject({ error: { code: 'upstream_timeout' } });
    await until('the server is let go', () => inference(server)[0]?.aborted === true);
  });

  for (const stream of [false, true]) {
    test(`F-09 the request clock counts over all attempts, ${stream ? 'streamed' : 'whole'}`, async () => {
      const servers = await Promise.all(['a', 'b', 'c'].map((name) => parts.simulator({ kind: 'vllm', name })));
      for (const server of servers) await server.setFault({ kind: 'hang' });
      const targets = servers.map((server) =>
        targetFor(server, { id: server.name, clocks: { ...PATIENT, firstByteMs: 300 } }),
      );
      const { chat, outcomes } = await parts.gateway(targets, { requestTimeoutMs: 450 });
      const response = await chat(ask(stream));
      expect([response.status, (await response.json()).error.code]).toEqual([504, 'upstream_timeout']);
      // The first took its 300 ms, the second what was left, the third was never asked.
      expect(servers.map((server) => inference(server).length)).toEqual([1, 1, 0]);
      expect(outcomes.map(({ kind }) => kind)).toEqual(['exhausted']);
    });
  }
});

describe('F-09 a queue that moves too slowly', () => {
  test('lets requests go when their time is over, and those never reach the server', async () => {
    const server = await parts.simulator({ kind: 'ollama' });
    await server.setFault({ kind: 'hang' });
    const { chat, gateway, outcomes } = await parts.gateway(
      [targetFor(server, { maxConcurrent: 1, clocks: PATIENT })],
      {
        queueTimeoutMs: 300,
        requestTimeoutMs: 1_000,
      },
    );
    const running = chat(ask());
    await until('it runs', () => server.active() === 1);
    const waiting = Array.from({ length: 100 }, () => chat(ask()));
    await until('they wait', () => gateway.targets()[0]?.queued === 100);
    for (const response of await Promise.all(waiting)) {
      expect([response.status, Number(response.headers.get('retry-after')) >= 1]).toEqual([429, true]);
      expect((await response.json()).error.code).toBe('rate_limit_exceeded');
    }
    expect([inference(server).length, gateway.targets()[0]?.queued]).toEqual([1, 0]);
    expect((await running).status).toBe(504);
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(101).fill('exhausted'));
    expect(gateway.targets()[0]?.stats.requests).toBe(1);
  });
});

/** Its wall clock can be set like a computer's; the monotonic one goes on. */
class SettableClock extends CountingClock {
  aheadMs = 0;

  override wallMs(): number {
    return super.wallMs() + this.aheadMs;
  }
}

describe('F-39 a wall clock that jumps by an hour', () => {
  for (const jumpMs of [HOUR_MS, -HOUR_MS]) {
    const name = jumpMs > 0 ? 'forward' : 'back';

    test(`${name} in the middle of a stream neither ends nor stretches it`, async () => {
      const clock = new SettableClock();
      const { server, chat, outcomes } = await serverWith({ idleMs: 2_000 }, { clock });
      server.setBehaviour({ tokensPerSecond: 100 });
      const response = await chat(ask(true));
      clock.aheadMs = jumpMs;
      const events = await readEvents(response);
      expect([contentOf(events).includes('canary:ONE'), events.at(-1)]).toEqual([true, '[DONE]']);
      const { durationMs } = outcomes[0] ?? { durationMs: -1 };
      expect([durationMs > 0, durationMs < 10_000]).toEqual([true, true]);
    });

    test(`${name} ends no clock and starts none anew`, async () => {
      const clock = new SettableClock();
      const { server, chat } = await serverWith({ firstByteMs: 400 }, { clock });
      await server.setFault({ kind: 'hang' });
      const asked = chat(ask());
      await until('it runs', () => server.active() === 1);
      clock.aheadMs = jumpMs;
      expect(server.active()).toBe(1);
      expect((await asked).status).toBe(504);
    });

    test(`${name} neither ends nor stretches a stated rest`, async () => {
      const clock = new SettableClock();
      const server = await parts.simulator({ kind: 'openai-compatible', name: 'limited' });
      const { chat } = await parts.gateway([targetFor(server, { id: 'limited', place: 'cloud' })], { clock });
      server.faultNext(1, { kind: 'status', status: 429, headers: { 'retry-after-ms': '20000' } });
      expect((await chat(ask())).status).toBe(429);
      clock.aheadMs = jumpMs;
      const response = await chat(ask());
      const seconds = Number(response.headers.get('retry-after'));
      expect([response.status, seconds > 10, seconds <= 20]).toEqual([429, true, true]);
      expect(inference(server).length).toBe(1);
    });
  }

  test('leaves request ids unique', async () => {
    const clock = new SettableClock();
    const { chat } = await serverWith({}, { clock });
    const ids = new Set<string | null>();
    for (const aheadMs of [0, HOUR_MS, 0, -HOUR_MS, 0]) {
      clock.aheadMs = aheadMs;
      for (let n = 0; n < 10; n++) ids.add((await chat(ask())).headers.get('x-request-id'));
    }
    expect([ids.size, ids.has(null)]).toEqual([50, false]);
  });

  test('of the provider, whose date lies in the past or far ahead, is believed for no time or five minutes at most', async () => {
    for (const [date, most] of [
      [new Date(Date.now() - HOUR_MS), 1],
      [new Date(Date.now() + HOUR_MS), 300],
    ] as const) {
      const limited = await parts.simulator({ kind: 'openai-compatible' });
      const steady = await parts.simulator({ kind: 'openrouter', models: [{ id: 'sim-model' }] });
      const { chat } = await parts.gateway([targetFor(limited, { id: 'limited', place: 'cloud' }), targetFor(steady)]);
      const headers = { 'retry-after': date.toUTCString() };
      await limited.setFault({ kind: 'status', status: 429, headers });
      await steady.setFault({ kind: 'status', status: 429, headers });
      expect(servedBy(await chat(ask()))).toBeNull();
      const response = await chat(ask());
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(most);
    }
  });
});
