import { describe, expect, test } from 'bun:test';
import type { Simulator } from '../../simulators/index.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator, gateway } = runningParts();

const asleep = { id: 'm', state: 'on-disk' } as const;

/** Every probe asks for these once. */
const probesOf = (server: Simulator): number => server.log.filter(({ path }) => path === '/props').length;

async function probedMore(server: Simulator, times: number): Promise<void> {
  const before = probesOf(server);
  await until(`${times} more probes`, () => probesOf(server) >= before + times, 10_000);
}

async function isAsleep({ url, adminKey }: TestGateway): Promise<boolean> {
  const reply = await fetch(`${url}/admin/status`, { headers: { authorization: `Bearer ${adminKey}` } });
  const { targets } = (await reply.json()) as { targets: { models: { state: string }[] }[] };
  return targets[0]?.models[0]?.state === 'on-disk';
}

// The first has `/metrics` count as use of the model, the second does not.
describe.each([10_000, 11_000])('a model of llama.cpp (build %d)', (build) => {
  test('sleeps on while it is probed, and a request wakes it', async () => {
    const server = await simulator({ kind: 'llama-cpp', build, models: [asleep] });
    const started = await gateway([targetFor(server)], { probeIntervalMs: 5 });
    await probedMore(server, 25);
    expect(server.memory().loads).toEqual({});
    expect((await started.chat('good morning')).status).toBe(200);
    expect(inference(server)).toHaveLength(1);
    expect(server.memory().loads).toEqual({ m: 1 });
  });

  test('falls asleep although it is probed all the time', async () => {
    const server = await simulator({ kind: 'llama-cpp', build, models: [{ id: 'm' }], sleepIdleMs: 150 });
    const started = await gateway([targetFor(server)], { probeIntervalMs: 5 });
    expect((await started.chat('good night')).status).toBe(200);
    await until('it sleeps', () => isAsleep(started), 10_000);
    await probedMore(server, 20);
    expect(server.memory().loads).toEqual({});
  });
});
