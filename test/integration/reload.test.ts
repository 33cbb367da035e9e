import { afterEach, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Simulator } from '../../simulators/index.ts';
import { runProgram } from '../../src/cli/program.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { contentOf, readEvents, until } from '../support/gateway.ts';
import { inference, runningParts } from '../support/running.ts';

const { simulator } = runningParts();
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const ADMIN_KEY = 'reload-admin-key-0123456789';

/** A gateway whose configuration is a file in a folder of its own. */
async function fromFile(yaml: object) {
  const directory = mkdtempSync(join(tmpdir(), 'swarmrouter-reload-'));
  const path = join(directory, 'swarmrouter.yaml');
  // JSON is YAML.
  const write = (content: object | string) =>
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  write(yaml);
  const environment = {
    SWARMROUTER_PORT: '0',
    SWARMROUTER_ADMIN_KEY: ADMIN_KEY,
    SWARMROUTER_DATA_DIR: join(directory, 'data'),
    LMSTUDIO_ENABLED: 'false',
  };
  const load = () => loadConfig({ flags: {}, environment, directory });
  const loaded = load();
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const gateway = await createGateway(loaded.config, { load, logTo: join(directory, 'log.jsonl') });
  stops.push(
    async () => rmSync(directory, { recursive: true, force: true }),
    () => gateway.stop(0),
  );
  await gateway.probed(2_000);
  const admin = (method: string, path: string) =>
    fetch(gateway.url + path, { method, headers: { authorization: `Bearer ${ADMIN_KEY}` } });
  return { gateway, write, load, admin, directory, environment };
}

const target = (name: string, server: Simulator, more: object = {}) => ({
  name,
  kind: server.kind,
  url: server.baseUrl,
  place: 'local',
  ...more,
});

const ask = (gateway: Gateway, body: object = {}) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], ...body }),
  });

const idsOf = (gateway: Gateway) =>
  gateway
    .targets()
    .filter(({ target: { optional } }) => !optional)
    .map(({ target: { id } }) => id);

describe('a changed configuration', () => {
  test('counts without a restart: targets come, go and change, the others keep what is known of them', async () => {
    const [a, b, c] = [
      await simulator({ kind: 'vllm' }),
      await simulator({ kind: 'vllm' }),
      await simulator({ kind: 'vllm' }),
    ];
    const { gateway, write, admin } = await fromFile({ targets: [target('a', a), target('b', b)] });
    expect((await ask(gateway)).status).toBe(200);
    const used = gateway.targets().find(({ stats }) => stats.requests === 1)?.target.id;
    write({ max_retries: 7, targets: [target('a', a), target('b', b), target('c', c, { max_concurrent: 2 })] });
    const reply = await admin('POST', '/admin/reload');
    expect([reply.status, await reply.json()]).toEqual([
      200,
      {
        reloaded: true,
        version: 2,
        changed: ['SWARMROUTER_MAX_RETRIES'],
        needs_restart: [],
        targets: expect.objectContaining({ added: ['c'], removed: [], changed: [] }),
      },
    ]);
    expect(gateway.targets().find(({ stats }) => stats.requests === 1)?.target.id).toBe(used as string);
    write({ targets: [target('c', c)] });
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { removed: ['a', 'b'], changed: ['c'] } });
    expect(idsOf(gateway)).toEqual(['c']);
    expect((await ask(gateway)).headers.get('x-swarmrouter-target')).toBe('c');
  });

  test('with any mistake in it changes nothing, and every mistake is named', async () => {
    const server = await simulator({ kind: 'vllm' });
    const { gateway, write, admin } = await fromFile({ targets: [target('a', server)] });
    write('max_retries: many\nstrategy: best\ntargets: [{name: a}]\n');
    const reply = await admin('POST', '/admin/reload');
    const body = await reply.json();
    expect([reply.status, body.error.code]).toEqual([422, 'invalid_configuration']);
    expect(body.problems.map(({ name, where }: { name: string; where: string }) => [name, where])).toEqual(
      expect.arrayContaining([
        ['max_retries', 'swarmrouter.yaml line 1'],
        ['SWARMROUTER_STRATEGY', 'swarmrouter.yaml line 2'],
        ['targets[0].kind', 'swarmrouter.yaml line 3'],
      ]),
    );
    expect((await ask(gateway)).headers.get('x-swarmrouter-target')).toBe('a');
    const status = await (await admin('GET', '/admin/status')).json();
    expect(status.config).toMatchObject({ version: 1, last_error: { problems: expect.any(Array) } });
    write({ targets: [target('a', server)] });
    expect((await admin('POST', '/admin/reload')).status).toBe(200);
    expect((await (await admin('GET', '/admin/status')).json()).config).toMatchObject({ version: 2, last_error: null });
  });

  test('is noticed by itself when the file changes', async () => {
    const [a, b] = [await simulator({ kind: 'vllm' }), await simulator({ kind: 'vllm' })];
    const { gateway, write } = await fromFile({ targets: [target('a', a)] });
    write({ targets: [target('b', b)] });
    await until('the new target is there', () => idsOf(gateway).includes('b'), 6_000);
    expect(idsOf(gateway)).toEqual(['b']);
  }, 10_000);

  test('leaves settings that need a restart as they are, and says so', async () => {
    const server = await simulator({ kind: 'vllm' });
    const { gateway, write } = await fromFile({ targets: [target('a', server)] });
    write({ max_body_mb: 1, log_level: 'DEBUG', queue_limit: 3, targets: [target('a', server)] });
    expect(gateway.reload()).toMatchObject({
      ok: true,
      changed: ['SWARMROUTER_QUEUE_LIMIT', 'SWARMROUTER_MAX_BODY_MB', 'SWARMROUTER_LOG_LEVEL'],
      needRestart: ['SWARMROUTER_MAX_BODY_MB', 'SWARMROUTER_LOG_LEVEL'],
    });
  });

  test('needs the admin key', async () => {
    const { gateway } = await fromFile({});
    expect((await fetch(`${gateway.url}/admin/reload`, { method: 'POST' })).status).toBe(401);
  });

  test('can be asked for from the command line', async () => {
    const server = await simulator({ kind: 'vllm' });
    const { gateway, write, directory, environment } = await fromFile({});
    write({ targets: [target('a', server)] });
    const lines: string[] = [];
    const terminal = {
      environment,
      directory,
      colours: false,
      out: (text: string) => void lines.push(text),
      error: (text: string) => void lines.push(text),
    };
    expect(await runProgram(['reload', '--url', gateway.url], terminal as never)).toBe(0);
    expect(lines.join('\n')).toContain('Targets added: a');
    write('targets: 7');
    lines.length = 0;
    expect(await runProgram(['reload', '--url', gateway.url], terminal as never)).not.toBe(0);
    expect(lines.join('\n')).toContain('targets');
  });
});

describe('requests that are running', () => {
  test('F-48: 30 reloads under 60 streams cut none of them, though their targets are removed and replaced', async () => {
    const slow = { kind: 'vllm', replyTokens: 60, tokensPerSecond: 60, slots: 100 } as const;
    const [a, b] = [await simulator(slow), await simulator(slow)];
    const wide = { max_concurrent: 100 };
    const { gateway, write } = await fromFile({ targets: [target('a', a, wide), target('b', b, wide)] });
    const streams = Array.from({ length: 60 }, async () => readEvents(await ask(gateway, { stream: true })));
    await until('all run', () => a.active() + b.active() === 60);
    for (let round = 0; round < 30; round++) {
      const more = { max_concurrent: 1 + (round % 5) };
      write({ targets: round % 2 === 0 ? [target('a', a, more)] : [target('b', b, more)] });
      expect(gateway.reload().ok).toBe(true);
      await Bun.sleep(10);
    }
    for (const events of await Promise.all(streams)) {
      expect([contentOf(events).split(' ').length, events.at(-1)]).toEqual([60, '[DONE]']);
    }
  }, 20_000);

  test('F-49: keep the provider key they began with; new ones use the new key', async () => {
    const cloud = await simulator({ kind: 'openai-compatible', replyTokens: 30, tokensPerSecond: 60 });
    const withKey = (key: string) => ({ targets: [target('c', cloud, { place: 'cloud', api_key: key })] });
    const { gateway, write } = await fromFile(withKey('first-key-0123456789'));
    const running = ask(gateway, { stream: true, model: 'sim-model' });
    await until('it runs', () => cloud.active() === 1);
    write(withKey('second-key-0123456789'));
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { changed: ['c'] } });
    expect((await ask(gateway, { model: 'sim-model' })).status).toBe(200);
    expect((await readEvents(await running)).at(-1)).toBe('[DONE]');
    expect(inference(cloud).map(({ headers }) => headers['authorization'])).toEqual([
      'Bearer first-key-0123456789',
      'Bearer second-key-0123456789',
    ]);
  });
});

describe('for any sequence of configurations', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const goodTarget = fc.record({
    name,
    kind: fc.constantFrom('vllm', 'ollama', 'openai-compatible'),
    url: fc.constantFrom('http://127.0.0.1:9', 'http://127.0.0.1:19'),
    max_concurrent: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
    place: fc.constant('local'),
  });
  const good = fc.record({
    max_retries: fc.integer({ min: 0, max: 9 }),
    queue_limit: fc.integer({ min: 0, max: 9 }),
    targets: fc.uniqueArray(goodTarget, { selector: (each) => each.name, maxLength: 4 }),
  });
  const bad = fc.constantFrom('max_retries: x', 'targets: [{name: a}]', ': : :', '{', 'unknown_key: 1', 'targets: 3');

  test('F-48: the state after reloads is that of a cold start with the last good one; a bad one changes nothing', async () => {
    const { gateway, write, load } = await fromFile({});
    const seen = () => gateway.targets().map(({ target: each }) => [each.id, each.baseUrl, each.maxConcurrent]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(good, bad), { minLength: 1, maxLength: 5 }), async (files) => {
        for (const file of files) {
          const before = seen();
          write(file);
          const result = gateway.reload();
          expect(result.ok).toBe(typeof file !== 'string');
          if (!result.ok) {
            expect(result.problems.length).toBeGreaterThan(0);
            expect(seen()).toEqual(before);
            continue;
          }
          const cold = load();
          const wanted = cold.ok ? cold.config.targets : [];
          expect(seen()).toEqual(wanted.map((each) => [each.id, each.baseUrl, each.maxConcurrent]));
        }
      }),
      { numRuns: 300 },
    );
  }, 30_000);
});
