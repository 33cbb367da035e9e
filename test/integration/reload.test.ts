import { afterEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Simulator } from '../../simulators/index.ts';
import { runProgram } from '../../src/cli/program.ts';
import { recordedTerminal } from '../../src/cli/terminal-fixture.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createGateway, type Gateway } from '../../src/gateway.ts';
import { contentOf, readEvents, until } from '../support/gateway.ts';
import { inference, runningParts, servedBy } from '../support/running.ts';

const { simulator } = runningParts();
const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const ADMIN_KEY = 'reload-admin-key-0123456789';

/** A gateway whose configuration is a file in a folder of its own. */
async function fromFile(yaml: object) {
  const directory = mkdtempSync(join(tmpdir(), 'swarmrouter-reload-'));
  // JSON is YAML.
  const write = (content: object | string, name = 'swarmrouter.yaml') =>
    writeFileSync(join(directory, name), typeof content === 'string' ? content : JSON.stringify(content));
  write(yaml);
  const environment = {
    SWARMROUTER_PORT: '0',
    SWARMROUTER_ADMIN_KEY: ADMIN_KEY,
    SWARMROUTER_DATA_DIR: join(directory, 'data'),
    LMSTUDIO_ENABLED: 'false',
  };
  const load = (listeningOn?: number) =>
    loadConfig({ flags: {}, environment, directory, ...(listeningOn === undefined ? {} : { listeningOn }) });
  const loaded = load();
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
  const gateway = await createGateway(loaded.config, { load, logTo: join(directory, 'log.jsonl') });
  stops.push(
    async () => rmSync(directory, { recursive: true, force: true }),
    () => gateway.stop(0),
  );
  await gateway.probed(2_000);
  const admin = (method: string, path: string, body?: object) =>
    fetch(gateway.url + path, {
      method,
      headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const logged = (message: string): number =>
    readFileSync(join(directory, 'log.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes(message)).length;
  return { gateway, write, load, admin, directory, environment, logged };
}

const target = (name: string, server: Simulator, more: object = {}) => ({
  name,
  kind: server.kind,
  url: server.baseUrl,
  place: 'local',
  ...more,
});

const ask = (gateway: Gateway, body: object = {}, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
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
    expect((await (await admin('GET', '/admin/status')).json()).config).toMatchObject({ version: 1, last_error: null });
  });

  test('is noticed by itself when the file changes', async () => {
    const [a, b] = [await simulator({ kind: 'vllm' }), await simulator({ kind: 'vllm' })];
    const { gateway, write } = await fromFile({ targets: [target('a', a)] });
    write({ targets: [target('b', b)] });
    await until('the new target is there', () => idsOf(gateway).includes('b'), 6_000);
    expect(idsOf(gateway)).toEqual(['b']);
  }, 10_000);

  test('is noticed in every file that counts: another YAML file, and one that holds a key', async () => {
    const cloud = await simulator({ kind: 'openai-compatible', apiKey: 'first-key-0123456789' });
    const { gateway, write } = await fromFile({});
    const withKey = { targets: [target('c', cloud, { place: 'cloud', api_key: 'file:key' })] };
    write('first-key-0123456789', 'key');
    write(withKey, 'other.yaml');
    write('SWARMROUTER_CONFIG=other.yaml', '.env');
    await until('the other file counts', () => idsOf(gateway).includes('c'), 6_000);
    expect((await ask(gateway, { model: 'sim-model' })).status).toBe(200);
    cloud.setBehaviour({ apiKey: 'second-key-0123456789' });
    write('second-key-0123456789', 'key');
    const keyInForce = () =>
      gateway
        .targets()
        .find(({ target: { id } }) => id === 'c')
        ?.target.apiKey?.reveal();
    await until('the new key counts', () => keyInForce() === 'second-key-0123456789', 6_000);
    expect((await ask(gateway, { model: 'sim-model' })).status).toBe(200);
  }, 20_000);

  test('that is wrong is logged once, though it is looked at again and again, until it is put right', async () => {
    const { gateway, write, admin, logged } = await fromFile({});
    const state = async () => (await (await admin('GET', '/admin/status')).json()).config;
    write('max_retries: many\n');
    await until('it was noticed', async () => (await state()).last_error !== null, 6_000);
    write('max_retries: 1\n');
    await until('it counts', async () => (await state()).version > 1, 6_000);
    expect(await state()).toMatchObject({ version: 2, last_error: null });
    await gateway.stop(0);
    expect(logged('is wrong; the old one stays in force')).toBe(1);
    expect(logged('configuration reloaded')).toBe(1);
  }, 15_000);

  test('leaves settings that need a restart as they are, and says so', async () => {
    const server = await simulator({ kind: 'vllm' });
    const { gateway, write, admin } = await fromFile({ targets: [target('a', server)] });
    write({ max_body_mb: 1, log_level: 'DEBUG', queue_limit: 3, targets: [target('a', server)] });
    expect(gateway.reload()).toMatchObject({
      ok: true,
      changed: ['SWARMROUTER_QUEUE_LIMIT', 'SWARMROUTER_MAX_BODY_MB', 'SWARMROUTER_LOG_LEVEL'],
      needRestart: ['SWARMROUTER_MAX_BODY_MB', 'SWARMROUTER_LOG_LEVEL'],
    });
    const { config, settings } = await (await admin('GET', '/admin/status')).json();
    expect(config.needs_restart).toEqual(['SWARMROUTER_MAX_BODY_MB', 'SWARMROUTER_LOG_LEVEL']);
    const shown = new Map(settings.map(({ name, value }: { name: string; value: string }) => [name, value]));
    expect([shown.get('SWARMROUTER_MAX_BODY_MB'), shown.get('SWARMROUTER_QUEUE_LIMIT')]).toEqual(['32', '3']);
  });

  test('needs the admin key', async () => {
    const { gateway } = await fromFile({});
    expect((await fetch(`${gateway.url}/admin/reload`, { method: 'POST' })).status).toBe(401);
  });

  test('can be asked for from the command line, which tells what changed or every problem', async () => {
    const server = await simulator({ kind: 'vllm' });
    const { gateway, write, environment } = await fromFile({});
    const run = async (words: string) => {
      // Not the gateway's folder: only the gateway itself may find the mistake.
      const terminal = recordedTerminal({ environment, directory: join(tmpdir(), 'no-such-folder') });
      const code = await runProgram([...words.split(' '), '--url', gateway.url], terminal);
      return { code, ...terminal.written() };
    };
    write({ max_body_mb: 7, targets: [target('a', server)] });
    const changed = await run('reload');
    expect([changed.code, changed.error]).toEqual([0, '']);
    expect(changed.out).toContain('Targets added: a');
    expect(changed.out).toContain('Only after a restart: SWARMROUTER_MAX_BODY_MB');
    expect((await run('reload')).out).toContain('Nothing has changed.');
    expect((await run('status')).out).toContain('Written, but only after a restart: SWARMROUTER_MAX_BODY_MB');

    write('targets: 7\nmax_retries: many\n');
    const refused = await run('reload');
    expect(refused.code).toBe(2);
    expect(refused.error).toContain('there are 2 problems');
    expect(refused.error).toContain('max_retries = "many" (swarmrouter.yaml line 2)');
    expect(refused.error).toContain('The old configuration stays in force.');
    const asJson = await run('reload --json');
    expect([asJson.code, JSON.parse(asJson.out).problems.length]).toEqual([2, 2]);
    expect((await run('status')).out).toContain('max_retries (swarmrouter.yaml line 2)');
  });
});

describe('providers given at run time', () => {
  const openrouter = {
    type: 'openrouter',
    base_url: 'http://127.0.0.1:9/v1',
    api_key: 'sk-or-0123456789',
    network: 'lan',
  };

  test('survive a reload, stronger than the file, and get the clocks that a cold start would give them', async () => {
    const { gateway, write, admin } = await fromFile({});
    expect((await admin('POST', '/admin/overflow_provider', openrouter)).status).toBe(201);
    const seen = () => gateway.targets().find(({ target: { id } }) => id === 'openrouter')?.target;
    write({ overflow_timeout: 7, openrouter_api_key: 'sk-or-of-the-file-0123' });
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { changed: ['openrouter'] } });
    expect([seen()?.source, seen()?.clocks.firstByteMs]).toEqual(['admin', 7_000]);
    expect((await admin('DELETE', '/admin/overflow_provider/openrouter')).status).toBe(200);
    expect([seen()?.source, seen()?.apiKey?.reveal()]).toEqual(['environment', 'sk-or-of-the-file-0123']);
  });

  test('F-48: one that cannot be stored is not in force, and the old one goes on', async () => {
    const cloud = await simulator({ kind: 'openrouter', models: [{ id: 'openai/gpt-4o' }] });
    const { gateway, admin, directory } = await fromFile({});
    const first = { ...openrouter, base_url: cloud.baseUrl };
    expect((await admin('POST', '/admin/overflow_provider', first)).status).toBe(201);
    // A folder in the file's place: the write fails at its very last step.
    const path = join(directory, 'data', 'overflow-providers.json');
    rmSync(path);
    mkdirSync(path);
    for (const refused of [
      await admin('POST', '/admin/overflow_provider', openrouter),
      await admin('DELETE', '/admin/overflow_provider/openrouter'),
    ]) {
      expect([refused.status, (await refused.json()).error.code]).toEqual([500, 'not_stored']);
    }
    const reply = await ask(gateway, { model: 'gpt-4o' });
    expect([reply.status, servedBy(reply)]).toEqual([200, 'openrouter']);
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { removed: [], changed: [] } });
  });
});

describe('requests that are running', () => {
  test('F-48: 50 reloads under 100 streams cut none, though targets are removed, replaced and configured anew', async () => {
    const slow = { kind: 'vllm', replyTokens: 90, tokensPerSecond: 60, slots: 100 } as const;
    const [a, b] = [await simulator(slow), await simulator(slow)];
    const wide = { max_concurrent: 100 };
    const { gateway, write } = await fromFile({ targets: [target('a', a, wide), target('b', b, wide)] });
    const streams = Array.from({ length: 100 }, async () => readEvents(await ask(gateway, { stream: true })));
    await until('all run', () => a.active() + b.active() === 100);
    for (let round = 0; round < 50; round++) {
      const targets = [[target('a', a)], [target('b', a)], [target('a', a), target('b', b)], []][round % 4];
      write(round % 10 === 9 ? 'max_retries: many' : { idle_timeout: 10 + round, targets });
      expect(gateway.reload().ok).toBe(round % 10 !== 9);
      await Bun.sleep(10);
    }
    for (const events of await Promise.all(streams)) {
      expect([contentOf(events).split(' ').length, events.at(-1)]).toEqual([90, '[DONE]']);
    }
    await until('nothing is left running', () => a.active() + b.active() === 0);
  }, 20_000);

  test('keep their slots when their server is only configured anew: it never gets more at once than it may', async () => {
    const server = await simulator({ kind: 'vllm', replyTokens: 30, tokensPerSecond: 60 });
    const file = (idle: number) => ({ idle_timeout: idle, targets: [target('a', server, { max_concurrent: 1 })] });
    const { gateway, write } = await fromFile(file(10));
    const replies = Array.from({ length: 4 }, async () => (await ask(gateway)).status);
    await until('three wait', () => gateway.targets()[0]?.queued === 3);
    for (const idle of [11, 12, 13]) {
      write(file(idle));
      expect(gateway.reload()).toMatchObject({ ok: true, targets: { changed: ['a'] } });
      expect(gateway.targets()[0]).toMatchObject({ health: 'up', inFlight: 1, queued: 3 });
    }
    expect(await Promise.all(replies)).toEqual([200, 200, 200, 200]);
    expect(server.peakActive()).toBe(1);
  });

  test('wait no longer for a server that was removed: they go to the one that came instead', async () => {
    const [a, b] = [
      await simulator({ kind: 'vllm', replyTokens: 100, tokensPerSecond: 60 }),
      await simulator({ kind: 'vllm' }),
    ];
    const { gateway, write } = await fromFile({ targets: [target('a', a, { max_concurrent: 1 })] });
    const stream = await ask(gateway, { stream: true });
    const waiting = ask(gateway);
    await until('it waits', () => gateway.targets()[0]?.queued === 1);
    write({ targets: [target('b', b)] });
    expect(gateway.reload().ok).toBe(true);
    const reply = await waiting;
    expect([reply.status, servedBy(reply), a.active(), inference(a).length]).toEqual([200, 'b', 1, 1]);
    expect((await readEvents(stream)).at(-1)).toBe('[DONE]');
  });

  test('fail over to a server that came with the reload when the planned one was taken away', async () => {
    const [hanging, gone, came] = [
      await simulator({ kind: 'vllm' }),
      await simulator({ kind: 'openai-compatible' }),
      await simulator({ kind: 'openai-compatible' }),
    ];
    const first = target('a', hanging, { first_token_timeout: 0.3, first_byte_timeout: 0.3 });
    const cloud = { place: 'cloud' };
    const { gateway, write } = await fromFile({ targets: [first, target('c', gone, cloud)] });
    await hanging.setFault({ kind: 'hang' });
    const running = ask(gateway, { model: 'sim-model' });
    await until('it hangs at the first', () => hanging.active() === 1);
    write({ targets: [first, target('d', came, cloud)] });
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { added: ['d'], removed: ['c'] } });
    const reply = await running;
    expect([reply.status, servedBy(reply), inference(gone).length]).toEqual([200, 'd', 0]);
  });

  test('that may only go to local servers never reach a cloud one that took a local one’s name', async () => {
    const [hanging, local, cloud] = [
      await simulator({ kind: 'vllm' }),
      await simulator({ kind: 'openai-compatible' }),
      await simulator({ kind: 'openai-compatible' }),
    ];
    const first = target('a', hanging, { first_token_timeout: 0.3, first_byte_timeout: 0.3 });
    const { gateway, write } = await fromFile({ targets: [first, target('c', local)] });
    await hanging.setFault({ kind: 'hang' });
    // Both have it, and whoever is asked second would have been the local one.
    await local.setFault({ kind: 'hang' });
    const fenced = ask(gateway, { model: 'sim-model' }, { 'x-swarmrouter-place': 'local' });
    await until('it hangs at the first', () => hanging.active() === 1);
    write({ targets: [first, target('c', cloud, { place: 'cloud' })] });
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { changed: ['c'] } });
    expect((await fenced).status).toBe(504);
    expect(inference(cloud)).toEqual([]);
  });

  test('F-49: fail over with the new key', async () => {
    const hanging = await simulator({ kind: 'vllm' });
    const cloud = await simulator({ kind: 'openai-compatible', apiKey: 'first-key-0123456789' });
    const clocks = { first_token_timeout: 0.3, first_byte_timeout: 0.3 };
    const file = (key: string) => ({
      targets: [target('a', hanging, clocks), target('c', cloud, { place: 'cloud', api_key: key })],
    });
    const { gateway, write } = await fromFile(file('first-key-0123456789'));
    await hanging.setFault({ kind: 'hang' });
    const running = ask(gateway, { model: 'sim-model' });
    await until('it hangs at the first', () => hanging.active() === 1);
    cloud.setBehaviour({ apiKey: 'second-key-0123456789' });
    write(file('second-key-0123456789'));
    expect(gateway.reload()).toMatchObject({ ok: true, targets: { changed: ['c'] } });
    const reply = await running;
    expect([reply.status, servedBy(reply)]).toEqual([200, 'c']);
    expect(inference(cloud).map(({ headers }) => headers['authorization'])).toEqual(['Bearer second-key-0123456789']);
  });

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
