import { afterEach, describe, expect, test } from 'bun:test';
import { targetOf } from '../../../test/contract/adapters-support.ts';
import type { TargetSnapshot } from '../../core/target.ts';
import { systemClock } from '../../system-clock.ts';
import { createAdapters } from '../index.ts';
import { wordsOf } from './capabilities.ts';

const ollama = createAdapters({ clock: systemClock }).get('ollama');
const servers: { stop(force: boolean): unknown }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.stop(true);
});

/** An older Ollama that lists these models and shows what `show` says; notes whom it was asked for. */
function serve(models: () => readonly object[], show: (model: string) => object) {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname === '/api/tags') return Response.json({ models: models() });
      if (pathname === '/api/ps') return Response.json({ models: [] });
      if (pathname !== '/api/show') return new Response('', { status: 404 });
      const { model } = (await request.json()) as { model: string };
      asked.push(model);
      return Response.json(show(model));
    },
  });
  servers.push(server);
  const target = targetOf('ollama', `http://127.0.0.1:${server.port}`, {});
  const probe = (): Promise<TargetSnapshot> =>
    ollama?.probe(target, new AbortController().signal) ?? Promise.reject(new Error('no adapter'));
  return { asked, probe };
}

describe('what an older Ollama shows of a model', () => {
  test('is kept as far as it is looked at, and no further', () => {
    expect(wordsOf({ capabilities: ['x'.repeat(1_000_000), 'vision', 7, null, 'vision', 'completion'] })).toEqual([
      'completion',
      'vision',
    ]);
    for (const reply of [null, 'vision', {}, { capabilities: 'vision' }]) expect(wordsOf(reply)).toEqual([]);
  });

  test('is asked for once, and again when the name stands for another model', async () => {
    let digest = 'a';
    const { asked, probe } = serve(
      () => [{ name: 'm', model: 'm', digest }],
      () => ({ capabilities: digest === 'a' ? ['completion'] : ['completion', 'vision'] }),
    );
    const seen = async () => (await probe()).models.map(({ capabilities }) => capabilities.vision);
    expect([await seen(), await seen()]).toEqual([[false], [false]]);
    digest = 'b';
    expect([await seen(), await seen()]).toEqual([[true], [true]]);
    expect(asked).toEqual(['m', 'm']);
  });

  test('is forgotten with the models that are no longer listed', async () => {
    let names = ['a', 'b'];
    const { asked, probe } = serve(
      () => names.map((name) => ({ name, model: name, digest: 'd' })),
      () => ({ capabilities: ['completion', 'tools'] }),
    );
    await probe();
    names = ['b'];
    await probe();
    names = ['a', 'b'];
    await probe();
    expect(asked).toEqual(['a', 'b', 'a']);
  });

  test('is not asked for under what is no name', async () => {
    const names = ['x'.repeat(2_000), 'line\nbreak', '\u001b[31mred', '', 'm'];
    const { asked, probe } = serve(
      () => names.map((name) => ({ name, model: name, digest: 'd'.repeat(100_000) })),
      () => ({ capabilities: ['completion', 'tools'] }),
    );
    expect((await probe()).models.map(({ id, capabilities }) => [id, capabilities.tools])).toEqual([['m', true]]);
    expect(asked).toEqual(['m']);
  });

  test('is text that fits into a status: a version or quantization that does not is none', async () => {
    const { probe } = serve(
      () => [{ name: 'm', model: 'm', digest: 'd', details: { quantization_level: 'Q4'.repeat(10_000) } }],
      () => ({ capabilities: ['completion'] }),
    );
    expect((await probe()).models[0]?.quantization).toBeNull();
  });
});
