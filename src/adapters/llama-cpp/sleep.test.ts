import { describe, expect, test } from 'bun:test';
import { simulate, stopSimulatorsAfterEach } from '../../../simulators/test-support.ts';
import { targetOf } from '../../../test/contract/adapters-support.ts';
import type { TargetSnapshot } from '../../core/target.ts';
import { systemClock } from '../../system-clock.ts';
import { createAdapters } from '../index.ts';
import { harmlessQuestions } from './sleep.ts';

stopSimulatorsAfterEach();

async function probe(url: string): Promise<TargetSnapshot> {
  const adapter = createAdapters({ clock: systemClock }).get('llama-cpp');
  if (adapter === undefined) throw new Error('there is an adapter for llama.cpp');
  return adapter.probe(targetOf('llama-cpp', url), new AbortController().signal);
}

test.each([
  ['says nothing of itself', {}, []],
  ['is a router, whose models may sleep', { role: 'router' }, []],
  ['is older than sleep', { build_info: 'b7000-1a2b3c4' }, ['metrics', 'slots']],
  ['takes any question as use', { build_info: 'b9000-1a2b3c4', is_sleeping: false }, []],
  ['takes no question for its metrics as use', { build_info: 'b10630-1a', is_sleeping: false }, ['metrics']],
  ['was built by somebody else', { build_info: 'custom 99999', is_sleeping: false }, []],
  ['sleeps', { build_info: 'b11000-1', is_sleeping: true }, []],
])('a server that %s is asked only what lets it sleep', (_name, props, allowed) => {
  const questions = Object.entries(harmlessQuestions(props));
  expect(questions.filter(([, mayAsk]) => mayAsk).map(([name]) => name)).toEqual(allowed);
});

describe('a model that sleeps', () => {
  test.each([9_000, 11_000])('is woken by none of a hundred probes (build %d)', async (build) => {
    const server = await simulate({ kind: 'llama-cpp', build, models: [{ id: 'm', state: 'on-disk' }] });
    for (let n = 0; n < 100; n++) {
      const { models, load } = await probe(server.url);
      expect(models.map(({ id, state }) => [id, state])).toEqual([['m', 'on-disk']]);
      expect(load).toBeNull();
    }
    expect(server.memory().loads).toEqual({});
    // It is no sleep that nothing could end.
    await fetch(`${server.url}/slots`);
    expect(server.memory().loads).toEqual({ m: 1 });
    expect((await probe(server.url)).models[0]?.state).toBe('loaded');
  });

  test('is not kept awake by questions that an older build takes as use', async () => {
    const server = await simulate({ kind: 'llama-cpp', build: 9_000 });
    for (let n = 0; n < 3; n++) expect((await probe(server.url)).models[0]?.state).toBe('loaded');
    expect([...new Set(server.log.map(({ path }) => path))].sort()).toEqual(['/health', '/props', '/v1/models']);
  });
});

test.each([
  [7_000, '/metrics'],
  [11_000, '/metrics'],
])('build %d is asked how busy it is', async (build, path) => {
  const server = await simulate({ kind: 'llama-cpp', build });
  expect((await probe(server.url)).load).toEqual({ running: 0, waiting: 0, cacheUsage: null });
  expect(server.log.map((entry) => entry.path)).toContain(path);
  expect(server.log.map((entry) => entry.path)).not.toContain('/slots');
});
