import { describe, expect, test } from 'bun:test';
import type { Simulator } from '../../simulators/index.ts';
import { Secret } from '../../src/core/secret.ts';
import type { ServerKind, Target } from '../../src/core/target.ts';
import { type TestGateway, targetFor, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator, gateway } = runningParts();
const SOUGHT: readonly ServerKind[] = ['lm-studio', 'ollama', 'llama-cpp', 'vllm', 'sglang'];

const unknown = (server: Simulator, id = 'box'): Target =>
  targetFor(server, { id, provider: id, place: 'local', adapterKind: 'auto', baseUrl: server.url });

async function statusOf({ url, adminKey }: TestGateway, id = 'box') {
  const reply = await fetch(`${url}/admin/status`, { headers: { authorization: `Bearer ${adminKey}` } });
  const { targets } = (await reply.json()) as {
    targets: { id: string; kind: string; provider: string; health: string; health_reason: string | null }[];
  };
  return targets.find((target) => target.id === id);
}

describe('a target whose kind is not known', () => {
  test.each(SOUGHT)('becomes %s when that answers there, before the first request is decided', async (kind) => {
    const server = await simulator({ kind });
    const started = await gateway([unknown(server)]);
    const reply = await started.chat('hello');
    expect([reply.status, servedBy(reply), reply.headers.get('x-swarmrouter-provider')]).toEqual([200, 'box', kind]);
    expect(await statusOf(started)).toMatchObject({ kind, health: 'up', health_reason: null });
  });

  test('gets nothing and says why until somebody answers there, and needs no restart then', async () => {
    const late = await simulator({ kind: 'ollama' });
    await late.kill();
    const started = await gateway([unknown(late)]);
    expect(await statusOf(started)).toMatchObject({
      kind: 'auto',
      health: 'down',
      health_reason: 'the kind of box is not known yet: no model server that it could be answers there',
    });
    expect((await started.chat('hello')).status).toBe(503);
    await late.revive();
    await until('it is known', async () => (await statusOf(started))?.health === 'up', 5_000);
    expect(await statusOf(started)).toMatchObject({ kind: 'ollama', provider: 'ollama' });
    expect(servedBy(await started.chat('hello'))).toBe('box');
  });

  test('keeps what it turned out to be over a reload', async () => {
    const server = await simulator({ kind: 'llama-cpp' });
    const started = await gateway([unknown(server), unknown(server, 'again')]);
    expect(await statusOf(started, 'again')).toMatchObject({ kind: 'llama-cpp', health: 'up' });
    expect(started.gateway.reload()).toMatchObject({ ok: true });
    expect(await statusOf(started)).toMatchObject({ kind: 'llama-cpp', health: 'up' });
    expect(servedBy(await started.chat('hello'))).not.toBeNull();
  });

  test('is not taken for one of our own machines because it is compatible with OpenAI, and gets no key', async () => {
    const server = await simulator({ kind: 'openai-compatible' });
    const started = await gateway([{ ...unknown(server), apiKey: new Secret('sk-for-one-of-ours') }]);
    expect((await statusOf(started))?.health_reason).toContain('write that as its kind, and its place');
    expect((await started.chat('hello')).status).toBe(503);
    expect(inference(server)).toEqual([]);
    expect(server.log.length).toBeGreaterThan(0);
    expect(server.log.filter(({ headers }) => 'authorization' in headers)).toEqual([]);
  });
});
