import { afterEach, describe, expect, test } from 'bun:test';
import { simulate, stopSimulatorsAfterEach } from '../../../simulators/test-support.ts';
import { targetOf } from '../../../test/contract/adapters-support.ts';
import type { TargetSnapshot } from '../../core/target.ts';
import { systemClock } from '../../system-clock.ts';
import { createAdapters } from '../index.ts';
import { contextSetBy } from './set-context.ts';

stopSimulatorsAfterEach();
const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

const adapters = createAdapters({ clock: systemClock });

async function probe(url: string): Promise<TargetSnapshot> {
  const adapter = adapters.get('ollama');
  if (adapter === undefined) throw new Error('there is an adapter for Ollama');
  return adapter.probe(targetOf('ollama', url), new AbortController().signal);
}

const contextsOf = ({ models }: TargetSnapshot) => models.map(({ contextLength }) => contextLength);

/** An Ollama with these models on disk; `shown` holds those that `/api/show` was asked about. */
function ollama(models: readonly object[], show: (model: string) => Response, running: readonly object[] = []) {
  const shown: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/api/tags') return Response.json({ models });
      if (pathname === '/api/ps') return Response.json({ models: running });
      if (pathname !== '/api/show') return new Response('', { status: 404 });
      const { model } = (await request.json()) as { model: string };
      shown.push(model);
      return show(model);
    },
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.port}`, shown };
}

const pulled = (n: number) => ({ name: `m${n}`, model: `m${n}`, digest: `d${n}`, capabilities: ['completion'] });
const several = (count: number) => Array.from({ length: count }, (_, n) => pulled(n));
const sets4096 = () => Response.json({ parameters: 'stop "x"\nnum_ctx                        4096' });

test.each([
  ['sets it', { parameters: 'temperature 0.7\nnum_ctx                        8192\nstop "a"' }, 8_192],
  [
    'sets more than the model holds',
    {
      parameters: 'num_ctx 200000',
      model_info: { 'general.architecture': 'llama', 'llama.context_length': 131_072 },
    },
    131_072,
  ],
  // What the model could hold is not what it gets.
  [
    'sets nothing',
    { parameters: '', model_info: { 'general.architecture': 'llama', 'llama.context_length': 131_072 } },
    null,
  ],
  ['speaks of it elsewhere', { parameters: 'stop "num_ctx 4096"' }, null],
  ['sets nonsense', { parameters: 'num_ctx 0' }, null],
  ['sets more digits than a number has', { parameters: `num_ctx ${'9'.repeat(40)}` }, null],
  ['is none', 'no object', null],
])('a model file that %s', (_name, reply, context) => {
  expect(contextSetBy(reply)).toBe(context);
});

describe('the context that a model file sets', () => {
  test('is known before the model is in memory, and loads nothing', async () => {
    const server = await simulate({
      kind: 'ollama',
      models: [
        { id: 'set', state: 'on-disk', contextLength: 4_096, setsContextLength: true },
        { id: 'not', state: 'on-disk', contextLength: 4_096 },
      ],
    });
    expect(contextsOf(await probe(server.url))).toEqual([4_096, null]);
    expect(server.memory().loads).toEqual({});
  });

  test('counts less than what a model in memory has', async () => {
    const running: object[] = [];
    const { url, shown } = ollama(several(1), sets4096, running);
    expect(contextsOf(await probe(url))).toEqual([4_096]);
    running.push({ model: 'm0', context_length: 2_048 });
    expect(contextsOf(await probe(url))).toEqual([2_048]);
    running.splice(0);
    expect(contextsOf(await probe(url))).toEqual([4_096]);
    expect(shown).toEqual(['m0']);
  });

  test('is not asked for while the model is in memory and says its own', async () => {
    const { url, shown } = ollama(several(2), sets4096, [{ model: 'm0', context_length: 2_048 }, { model: 'm1' }]);
    expect(contextsOf(await probe(url))).toEqual([2_048, 4_096]);
    expect(shown).toEqual(['m1']);
  });

  test('is asked for once, a few models with each probe, and at most 64', async () => {
    const { url, shown } = ollama(several(70), sets4096);
    expect(contextsOf(await probe(url)).filter((context) => context === 4_096)).toHaveLength(4);
    for (let n = 0; n < 20; n++) await probe(url);
    expect(shown).toEqual(several(64).map(({ model }) => model));
  });

  test('is asked for again when the name holds another model', async () => {
    const models = several(1);
    const { url, shown } = ollama(models, sets4096);
    await probe(url);
    models.splice(0, 1, { ...pulled(0), digest: 'another' });
    await probe(url);
    expect(shown).toEqual(['m0', 'm0']);
  });

  test('keeps no probe from its verdict where it cannot be shown, nor the other models from being asked about', async () => {
    const { url, shown } = ollama(several(3), (model) =>
      model === 'm0' ? new Response('broken', { status: 500 }) : sets4096(),
    );
    expect(contextsOf(await probe(url))).toEqual([null, null, null]);
    expect(shown).toEqual(['m0']);
    expect(contextsOf(await probe(url))).toEqual([null, 4_096, 4_096]);
    expect(shown).toEqual(['m0', 'm1', 'm2']);
  });
});
