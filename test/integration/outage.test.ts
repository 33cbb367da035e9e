import { describe, expect, test } from 'bun:test';
import { testClocks } from '../support/fleet.ts';
import { contentOf, readEvents, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const CLOUD_MODEL = 'openai/gpt-4o-mini';

const ask = (model?: string) => ({
  ...(model === undefined ? {} : { model }),
  messages: [{ role: 'user', content: 'hi' }],
});

describe('a model that is loading', () => {
  test('F-26: 200 clients wait for it with about one question a second, and all are answered', async () => {
    const server = await simulator({ kind: 'llama-cpp', slots: 256 });
    const { chat } = await gateway([targetFor(server)], { probeIntervalMs: 1_000, queueTimeoutMs: 10_000 });
    // Its health check knows nothing of it: only the requests are told.
    await server.setFault({
      kind: 'status',
      status: 503,
      body: { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    });
    const startedAtMs = performance.now();
    const replies = Array.from({ length: 200 }, () => chat(ask()));
    await until(
      'it was asked again after its first refusals',
      () => inference(server).some(({ startedAtMs: at }) => at - startedAtMs > 1_500),
      6_000,
    );
    // Those that came before the first of them was told are not held back.
    const later = inference(server).filter(({ startedAtMs: at }) => at - startedAtMs > 700);
    expect(later.length).toBeLessThanOrEqual(Math.ceil((performance.now() - startedAtMs) / 1_000) + 1);
    await server.setFault(null);
    const statuses = (await Promise.all(replies)).map((reply) => reply.status);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  }, 20_000);

  test('F-26: is overflowed to the cloud, and is not taken for broken', async () => {
    const server = await simulator({ kind: 'llama-cpp' });
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: CLOUD_MODEL }] });
    const started = await gateway([targetFor(server), targetFor(cloud)], { probeIntervalMs: 60_000 });
    await server.setFault({
      kind: 'status',
      status: 503,
      body: { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    });
    for (let n = 0; n < 8; n++) expect(servedBy(await started.chat(ask('gpt-4o-mini')))).toBe('openrouter');
    expect(inference(server).length).toBe(1);
    expect(started.gateway.targets()[0]?.health).toBe('warming');
  });
});

describe('a target that comes back', () => {
  test('F-34: gets one trial, then a growing number at once, never more than its slots', async () => {
    const server = await simulator({ kind: 'vllm', slots: 8, firstTokenMs: 20 });
    const { chat, gateway: started } = await gateway([targetFor(server, { maxConcurrent: 8 })], {
      probeIntervalMs: 100,
      queueTimeoutMs: 20_000,
      requestTimeoutMs: 30_000,
      queueLimit: 1_000,
    });
    await server.kill();
    await until('it is seen to be down', () => started.targets()[0]?.health === 'down');
    await server.revive();
    await until('it is up again', () => started.targets()[0]?.health === 'up');
    const replies = await Promise.all(Array.from({ length: 200 }, () => chat(ask())));
    expect(replies.filter(({ status }) => status !== 200)).toEqual([]);
    const seen = inference(server);
    expect(seen.slice(0, 3).map(({ concurrentAtStart }) => concurrentAtStart)).toEqual([1, 1, 2]);
    expect(server.peakActive()).toBe(8);
  }, 30_000);

  test('is used again within two seconds', async () => {
    const server = await simulator({ kind: 'lm-studio' });
    const { chat, gateway: started } = await gateway([targetFor(server)], { probeIntervalMs: 5_000 });
    await server.kill();
    await chat(ask());
    expect(started.targets()[0]?.health).toBe('down');
    await Bun.sleep(200);
    await server.revive();
    const revivedAtMs = performance.now();
    await until('it answers', async () => (await chat(ask())).status === 200, 3_000);
    expect(performance.now() - revivedAtMs).toBeLessThan(2_000);
  });

  test('is used again within two seconds also when it had hung, so that its probes got no answer either', async () => {
    const server = await simulator({ kind: 'vllm', slots: 8 });
    const clocks = { ...testClocks, connectMs: 2_000, firstByteMs: 1_000, firstTokenMs: 1_000 };
    const { chat, gateway: started } = await gateway([targetFor(server, { clocks })], { probeIntervalMs: 5_000 });
    const isSilent = () => started.targets()[0]?.healthReason?.includes('the probe got no answer') === true;
    await server.setFault({ kind: 'hang', scope: 'all' });
    await Promise.all(Array.from({ length: 8 }, () => chat(ask())));
    await until('a probe of it has failed', isSilent, 10_000);
    expect((await chat(ask())).status).toBe(503);
    const asked = server.log.length;
    await until('the next probe hangs', () => server.log.length > asked, 5_000);
    await server.setFault(null);
    const returnedAtMs = performance.now();
    await until('it answers', async () => (await chat(ask())).status === 200, 5_000);
    expect(performance.now() - returnedAtMs).toBeLessThan(2_000);
  }, 20_000);
});

describe('an outage', () => {
  test('F-35: does not multiply the load: at most 1.2 calls a request and the floor', async () => {
    const server = await simulator({ kind: 'vllm', slots: 64 });
    await server.setFault({ kind: 'status', status: 429, headers: { 'retry-after-ms': '0' } });
    const { chat } = await gateway([targetFor(server)], { retryDelayMs: 1, probeIntervalMs: 60_000 });
    const startedAtMs = performance.now();
    for (let n = 0; n < 40; n++) await Promise.all(Array.from({ length: 10 }, () => chat(ask())));
    const seconds = (performance.now() - startedAtMs) / 1_000;
    // 10 saved at the start, one a second, and one for five regular ones.
    expect(inference(server).length).toBeLessThanOrEqual(1.2 * 400 + 10 + seconds);
    expect(inference(server).length).toBeGreaterThan(400);
  });

  test('F-36: a server that flaps never reaches the client while another answers', async () => {
    const flapping = await simulator({ kind: 'lm-studio' });
    const steady = await simulator({ kind: 'ollama', models: [{ id: 'sim-model' }] });
    const { chat } = await gateway([targetFor(flapping), targetFor(steady, { maxConcurrent: 16 })], {
      probeIntervalMs: 100,
    });
    let statuses: number[] = [];
    for (let round = 0; round < 6; round++) {
      await (round % 2 === 0 ? flapping.kill() : flapping.revive());
      const replies = Array.from({ length: 20 }, async (_, index) => {
        await Bun.sleep(index * 15);
        return (await chat(ask())).status;
      });
      statuses = [...statuses, ...(await Promise.all(replies))];
    }
    expect(statuses).toEqual(Array.from({ length: 120 }, () => 200));
  }, 20_000);

  test('F-37: a server whose health check lies is judged by its answers, both ways', async () => {
    const liar = await simulator({ kind: 'lm-studio' });
    const honest = await simulator({ kind: 'vllm', models: [{ id: 'sim-model' }] });
    const { chat } = await gateway([targetFor(liar), targetFor(honest, { maxConcurrent: 1 })], { probeIntervalMs: 50 });
    await liar.setFault({ kind: 'status', status: 500 });
    for (let n = 0; n < 60; n++) expect((await chat(ask())).status).toBe(200);
    // Five to open it, then a trial at each end of a growing ejection.
    expect(inference(liar).length).toBeLessThanOrEqual(7);
    await honest.kill();
    await liar.setFault({ kind: 'status', status: 500, scope: 'listing' });
    await until(
      'the one with a broken health check serves alone',
      async () => (await chat(ask())).status === 200,
      5_000,
    );
    for (let n = 0; n < 20; n++) expect((await chat(ask())).status).toBe(200);
  }, 20_000);

  test('F-38: when all are down the refusal is fast, says when to come back, and the rest still works', async () => {
    const servers = await Promise.all(
      ['lm-studio', 'ollama', 'vllm'].map((kind) => simulator({ kind: kind as 'vllm' })),
    );
    const {
      chat,
      url,
      gateway: started,
    } = await gateway(
      servers.map((server) => targetFor(server)),
      { probeIntervalMs: 100 },
    );
    for (const server of servers) await server.kill();
    await until('all are seen to be down', () => started.targets().every(({ health }) => health === 'down'));
    const replies = await Promise.all(Array.from({ length: 100 }, () => chat(ask())));
    for (const reply of replies) {
      expect([reply.status, reply.headers.get('retry-after')]).toEqual([503, '1']);
      expect((await reply.json()).error).toMatchObject({ code: 'no_target_available', type: 'server_error' });
    }
    for (const path of ['/health', '/metrics', '/v1/models']) expect((await fetch(url + path)).status).toBe(200);
  });

  test('the only target, failing all requests but answering its probes, is never given up, and asked at most once a request', async () => {
    const server = await simulator({ kind: 'lm-studio' });
    await server.setFault({ kind: 'status', status: 500 });
    const { chat } = await gateway([targetFor(server)], {
      probeIntervalMs: 60_000,
      retryBudget: { percent: 20, floorPerSecond: 1 },
    });
    const codes = new Set<string>();
    for (let n = 0; n < 200; n++) codes.add((await (await chat(ask())).json()).error.code);
    expect(inference(server).length).toBe(200);
    expect([...codes]).toEqual(['upstream_error']);
    await server.setFault(null);
    expect((await chat(ask())).status).toBe(200);
  });
});

describe('a plan that the world overtakes', () => {
  test('a server that came back meanwhile takes the request that all others failed', async () => {
    const broken = await simulator({ kind: 'lm-studio' });
    const back = await simulator({ kind: 'vllm' });
    const { chat, gateway: started } = await gateway([targetFor(broken), targetFor(back)], { probeIntervalMs: 50 });
    await back.kill();
    await until('it is seen to be down', () => started.targets()[1]?.health === 'down');
    await broken.setFault({ kind: 'slow', extraMs: 600 });
    const answer = chat(ask());
    await until('it reached the slow one', () => broken.active() === 1);
    await back.revive();
    await until('the other is up again', () => started.targets()[1]?.health === 'up');
    await broken.kill();
    const response = await answer;
    expect([response.status, servedBy(response), response.headers.get('x-swarmrouter-attempts')]).toEqual([
      200,
      'vllm',
      '2',
    ]);
  });

  test('a request that waited for a server which went down goes to one that came up', async () => {
    const busy = await simulator({ kind: 'ollama', firstTokenMs: 60_000 });
    const back = await simulator({ kind: 'vllm' });
    const { chat, gateway: started } = await gateway([targetFor(busy, { maxConcurrent: 1 }), targetFor(back)], {
      probeIntervalMs: 50,
    });
    await back.kill();
    await until('it is seen to be down', () => started.targets()[1]?.health === 'down');
    const first = chat(ask());
    await until('the first one runs', () => busy.active() === 1);
    const second = chat(ask());
    await until('the second one waits', () => started.targets()[0]?.queued === 1);
    await back.revive();
    await until('the other is up again', () => started.targets()[1]?.health === 'up');
    await busy.kill();
    expect([servedBy(await first), servedBy(await second)]).toEqual(['vllm', 'vllm']);
  });
});

describe('a request that waits', () => {
  test('for a local slot goes back to the cloud that had asked for a second', async () => {
    const busy = await simulator({ kind: 'ollama', firstTokenMs: 60_000 });
    const cloud = await simulator({ kind: 'openai-compatible', models: [{ id: 'sim-model' }] });
    const { chat, gateway: started } = await gateway(
      [targetFor(busy, { maxConcurrent: 1 }), targetFor(cloud, { place: 'cloud' })],
      { probeIntervalMs: 60_000, queueTimeoutMs: 5_000 },
    );
    void chat(ask()).catch(() => null);
    await until('the local one is busy', () => started.targets()[0]?.inFlight === 1);
    cloud.faultNext(1, { kind: 'status', status: 429, headers: { 'retry-after-ms': '300' } });
    const response = await chat(ask('sim-model'));
    expect([response.status, response.headers.get('x-swarmrouter-place')]).toEqual([200, 'cloud']);
  });

  test('for a local slot takes a server that comes back meanwhile', async () => {
    const busy = await simulator({ kind: 'ollama', firstTokenMs: 60_000 });
    const back = await simulator({ kind: 'vllm' });
    const { chat, gateway: started } = await gateway([targetFor(busy, { maxConcurrent: 1 }), targetFor(back)], {
      probeIntervalMs: 50,
      queueTimeoutMs: 8_000,
    });
    await back.kill();
    await until('it is seen to be down', () => started.targets()[1]?.health === 'down');
    void chat(ask()).catch(() => null);
    await until('the other is busy', () => busy.active() === 1);
    const waiting = chat(ask());
    await until('it waits', () => started.targets()[0]?.queued === 1);
    await back.revive();
    expect(servedBy(await waiting)).toBe('vllm');
  });
});

describe('overload', () => {
  test('a request that could not get its slot in time is refused at once, with the time to come back', async () => {
    const server = await simulator({ kind: 'ollama', firstTokenMs: 300 });
    const { chat, gateway: started } = await gateway([targetFor(server, { maxConcurrent: 1 })], {
      queueTimeoutMs: 1_000,
      probeIntervalMs: 60_000,
    });
    for (let n = 0; n < 5; n++) await chat(ask());
    const running = Array.from({ length: 4 }, () => chat(ask()));
    await until('three wait', () => started.targets()[0]?.queued === 3);
    const askedAtMs = performance.now();
    const refused = await chat(ask());
    expect(performance.now() - askedAtMs).toBeLessThan(250);
    expect([refused.status, (await refused.json()).error.code]).toEqual([429, 'rate_limit_exceeded']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  });

  test('F-09: a target may have a queue clock of its own', async () => {
    const server = await simulator({ kind: 'ollama', firstTokenMs: 800 });
    const target = targetFor(server, { maxConcurrent: 1 });
    const { chat, gateway: started } = await gateway([{ ...target, clocks: { ...target.clocks, queueMs: 100 } }], {
      queueTimeoutMs: 60_000,
    });
    const first = chat(ask());
    await until('it runs', () => started.targets()[0]?.inFlight === 1);
    const refused = await chat(ask());
    expect([refused.status, (await refused.json()).error.message]).toEqual([429, 'no slot became free within 0.1 s']);
    expect((await first).status).toBe(200);
  });

  test('F-45: above its memory limit the gateway refuses new requests before it reads them, is not ready for more, and finishes the others', async () => {
    const server = await simulator({ kind: 'lm-studio', replyTokens: 100, tokensPerSecond: 100 });
    const { chat, url, gateway: started } = await gateway([targetFor(server)], { maxMemoryBytes: 1 });
    await Bun.sleep(300);
    const stream = await chat({ ...ask(), stream: true });
    await until('it runs', () => started.targets()[0]?.inFlight === 1);
    const refused = await chat(ask());
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    const ready = await fetch(`${url}/ready`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { reason: expect.stringContaining('memory') }]);
    expect((await refused.json()).error).toMatchObject({ code: 'gateway_overloaded', type: 'server_error' });
    expect(await (await fetch(`${url}/metrics`)).text()).toContain(
      'swarmrouter_shed_requests_total{reason="memory"} 1',
    );
    const events = await readEvents(stream);
    expect([contentOf(events).length > 0, events.at(-1)]).toEqual([true, '[DONE]']);
    await until('traffic is wanted again', async () => (await fetch(`${url}/ready`)).ok);
  });

  test('a slot of LM Studio stays counted for the grace after a cancelled prompt, one of llama.cpp does not', async () => {
    for (const [kind, isHeld] of [
      ['lm-studio', true],
      ['llama-cpp', false],
    ] as const) {
      const server = await simulator({ kind, firstTokenMs: 400 });
      const { chat, gateway: started } = await gateway([targetFor(server, { maxConcurrent: 1 })], {
        cancelGraceMs: 600,
        probeIntervalMs: 60_000,
      });
      const client = new AbortController();
      const gone = chat(ask(), { signal: client.signal }).catch(() => null);
      await until('it runs', () => started.targets()[0]?.inFlight === 1);
      client.abort();
      await gone;
      await until('it is not in flight any more', () => started.targets()[0]?.inFlight === 0);
      const next = chat(ask());
      await until(
        'it waits or runs',
        () => (started.targets()[0]?.queued ?? 0) + (started.targets()[0]?.inFlight ?? 0) > 0,
      );
      expect(started.targets()[0]?.queued).toBe(isHeld ? 1 : 0);
      expect((await next).status).toBe(200);
    }
  });
});
