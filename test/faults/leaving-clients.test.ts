import { describe, expect, test } from 'bun:test';
import { faultParts, targetFor } from '../support/fault-parts.ts';
import { hasFullBacklog, listenWithFullBacklog } from '../support/full-backlog.ts';
import { type TestGateway, until } from '../support/gateway.ts';
import { chatRequest, talk } from '../support/raw-client.ts';
import { inference } from '../support/running.ts';

const parts = faultParts();
/** The limit is 100 ms; the rest is for a busy machine. */
const CLOSED_WITHIN_MS = 500;

const ask = (stream: boolean) => ({ model: 'sim-model', stream, messages: [{ role: 'user', content: 'hi' }] });

/** Nobody answered, nobody is to blame, the slot is free. */
async function isAbandoned({ gateway, outcomes }: TestGateway, calls: number): Promise<void> {
  await until('its outcome is known', () => outcomes.length === calls);
  expect(outcomes.map(({ kind }) => kind)).toEqual(Array(calls).fill('abandoned'));
  await until('the slot is free', () => gateway.targets()[0]?.inFlight === 0);
  expect(gateway.targets()[0]).toMatchObject({ health: 'up', queued: 0, stats: { errors: 0 } });
}

describe('F-31 L-20 a client that goes away', () => {
  for (const kind of ['vllm', 'lm-studio', 'openrouter'] as const) {
    for (const phase of [
      'before the first byte',
      'between headers and content',
      'while streaming',
      'in a whole reply',
    ] as const) {
      test(`${phase} (${kind}): the upstream's socket closes at once, the slot is free, the target is not blamed`, async () => {
        const server = await parts.simulator({
          kind,
          models: [{ id: 'sim-model' }],
          replyTokens: 1_000,
          tokensPerSecond: 100,
          earlyHeaders: phase === 'between headers and content',
          firstTokenMs: phase === 'while streaming' ? 5 : 5_000,
        });
        const started = await parts.gateway([targetFor(server)]);
        const client = new AbortController();
        const asked = started.chat(ask(phase !== 'in a whole reply'), { signal: client.signal });
        if (phase === 'while streaming') await (await asked).body?.getReader().read();
        else await until('it reached the server', () => server.active() === 1);
        const leftAtMs = performance.now();
        client.abort();
        await asked.catch(() => null);
        await until('the server saw it go', () => inference(server)[0]?.aborted === true && server.active() === 0);
        expect((inference(server)[0]?.endedAtMs ?? Number.POSITIVE_INFINITY) - leftAtMs).toBeLessThan(CLOSED_WITHIN_MS);
        await isAbandoned(started, 1);
        expect(inference(server).length).toBe(1);
      });
    }
  }

  test('in the queue: it never reaches a server, and the one before it is not disturbed', async () => {
    const server = await parts.simulator({ kind: 'vllm', firstTokenMs: 300 });
    const { chat, gateway, outcomes } = await parts.gateway([targetFor(server, { maxConcurrent: 1 })]);
    const first = chat(ask(false));
    await until('the first one runs', () => server.active() === 1);
    const client = new AbortController();
    const second = chat(ask(false), { signal: client.signal }).catch(() => null);
    await until('the second one waits', () => gateway.targets()[0]?.queued === 1);
    client.abort();
    await second;
    await until('the queue is empty', () => gateway.targets()[0]?.queued === 0);
    expect((await first).status).toBe(200);
    expect(inference(server).length).toBe(1);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(['abandoned', 'served']);
  });

  test.skipIf(!hasFullBacklog)('while connecting: nothing is left of the attempt', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const started = await parts.gateway([targetFor(server)]);
    await server.kill();
    const hanging = await listenWithFullBacklog(server.port);
    try {
      const client = new AbortController();
      const asked = started.chat(ask(true), { signal: client.signal }).catch(() => null);
      await until('it connects', () => started.gateway.targets()[0]?.inFlight === 1);
      client.abort();
      await asked;
      await isAbandoned(started, 1);
    } finally {
      await hanging.stop();
    }
  });

  test('before its body is whole: nothing is asked of anybody', async () => {
    const server = await parts.simulator({ kind: 'vllm' });
    const { gateway, outcomes, chat } = await parts.gateway([targetFor(server)]);
    const client = talk(gateway.port, chatRequest('HALF').slice(0, -20));
    // Another one's answer shows that the gateway has read what the first one sent.
    await (await chat(ask(false))).text();
    client.destroy();
    await client.closed;
    await (await chat(ask(false))).text();
    expect(inference(server).map(({ rawBody }) => rawBody.includes('HALF'))).toEqual([false, false]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['served', 'served']);
  });

  test('fifty times over leaves no socket, slot or timer behind', async () => {
    const server = await parts.simulator({ kind: 'vllm', replyTokens: 1_000, tokensPerSecond: 50, slots: 64 });
    const started = await parts.gateway([targetFor(server, { maxConcurrent: 64 })]);
    for (let round = 0; round < 10; round++) {
      const clients = Array.from({ length: 5 }, () => new AbortController());
      const replies = await Promise.all(clients.map(({ signal }) => started.chat(ask(true), { signal })));
      for (const client of clients) client.abort();
      await Promise.all(replies.map((reply) => reply.text().catch(() => null)));
    }
    await isAbandoned(started, 50);
    // The probe's, and no other: what a client left must be closed.
    await until('its connections are closed', () => server.connections() <= 2);
  });
});
