import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { SETTING_LIST } from '../config/schema.ts';
import { createGateway, type Gateway } from '../gateway.ts';
import { VERSION } from '../version.ts';
import { gatewayUrl } from './admin-client.ts';
import { runProgram } from './program.ts';
import { recordedTerminal } from './terminal-fixture.ts';

const KEY = 'key-of-the-box-0123456789';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'swarmrouter-cli-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
  /** What the gateway was started with; null: it was not. */
  readonly started: Config | null;
}

/** Runs `swarmrouter <words>` with nothing of this process's own environment. */
async function run(words: string, environment: Record<string, string> = {}, typed: string | null = null): Promise<Ran> {
  let started: Config | null = null;
  const terminal = recordedTerminal({
    environment: { SWARMROUTER_DATA_DIR: join(folder, 'data'), ...environment },
    directory: folder,
    typed,
  });
  const code = await runProgram(words.split(' ').filter(Boolean), terminal, async (config) => {
    started = config;
    return 0;
  });
  return { code, ...terminal.written(), started };
}

describe('swarmrouter start', () => {
  test('is the default command, and its flags are the strongest settings', async () => {
    const ran = await run('--port 9100 --log-requests --lmstudio-url http://a:1 --lmstudio-url http://b:2', {
      SWARMROUTER_PORT: '9000',
    });
    expect(ran).toMatchObject({ code: 0, error: '' });
    expect(ran.started).toMatchObject({ port: 9100, logRequests: true });
    expect(ran.started?.targets.map((target) => target.baseUrl)).toEqual(['http://a:1', 'http://b:2']);
    expect((await run('start', { SWARMROUTER_PORT: '9000' })).started?.port).toBe(9000);
  });

  test('--flag=value and --flag value are the same', async () => {
    expect((await run('start --max-retries=7')).started?.maxRetries).toBe(7);
    expect((await run('start --max-retries 7')).started?.maxRetries).toBe(7);
  });

  test('with wrong settings it does not start: code 2, every problem, the nearest names', async () => {
    const ran = await run('start --prot 9 --max-retries 99 --host', {
      SWARMROUTER_LOG_LEVLE: 'x',
      AZURE_ENABLED: 'true',
    });
    expect(ran).toMatchObject({ code: 2, started: null, out: '' });
    expect(ran.error).toContain('there are 5 problems');
    for (const words of [
      'did you mean --port?',
      '--max-retries = "99"',
      '--host (the command line): it has no value',
      'did you mean SWARMROUTER_LOG_LEVEL?',
      'Azure is enabled but',
    ])
      expect(ran.error).toContain(words);
  });

  test('a mistyped command is told with the nearest one', async () => {
    const ran = await run('strat');
    expect(ran).toMatchObject({ code: 2, started: null });
    expect(ran.error).toContain('did you mean start?');
  });

  test('its help lists a flag and a variable for every setting', async () => {
    const { code, out } = await run('start --help');
    expect(code).toBe(0);
    for (const [, setting] of SETTING_LIST) expect(out).toContain(setting.name);
    expect(out).toContain('--max-retries <number>');
  });
});

describe('swarmrouter check', () => {
  test('shows each setting in force with its place, the targets, and starts nothing', async () => {
    const ran = await run('check --port 9100', { OPENROUTER_API_KEY: 'sk-or-v1-0123456789abcdef' });
    expect(ran).toMatchObject({ code: 0, started: null });
    expect(ran.out).toMatch(/SWARMROUTER_PORT +9100 +the command line/);
    expect(ran.out).toMatch(/OPENROUTER_API_KEY +sk-…cdef +the environment/);
    expect(ran.out).toMatch(/SWARMROUTER_MAX_RETRIES +3 +default/);
    expect(ran.out).toMatch(/openrouter +openrouter +cloud +https:\/\/openrouter\.ai\/api\/v1/);
    expect(ran.out).not.toContain('0123456789');
  });

  test('says of a target whose kind is to be found that it is, and asks nobody', async () => {
    const file = join(folder, 'auto.yaml');
    writeFileSync(file, 'targets: [{ name: den, kind: auto, url: "http://127.0.0.1:9/v1" }]\n');
    const ran = await run('check', { SWARMROUTER_CONFIG: file });
    expect(ran).toMatchObject({ code: 0, started: null });
    expect(ran.out).toMatch(/den +auto +local +http:\/\/127\.0\.0\.1:9 +yaml/);
  });

  test('lists every problem with code 2, and shows the wrong value where it stands', async () => {
    const ran = await run('check --json', { SWARMROUTER_PORT: 'eighty', SWARMROUTER_STRATEGY: 'none' });
    expect(ran.code).toBe(2);
    const report = JSON.parse(ran.out);
    expect(report.ok).toBe(false);
    expect(report.problems.map((problem: { name: string }) => problem.name)).toEqual([
      'SWARMROUTER_PORT',
      'SWARMROUTER_STRATEGY',
    ]);
    expect(report.settings).toContainEqual({
      name: 'SWARMROUTER_PORT',
      value: 'eighty',
      source: 'environment',
      where: 'the environment',
      group: 'Server',
    });
  });
});

test('--version says the version of the package', async () => {
  expect(await run('--version')).toMatchObject({ code: 0, out: `${VERSION}\n`, started: null });
});

test('a client on this machine reaches a gateway that listens everywhere through loopback', () => {
  expect(gatewayUrl({ host: '0.0.0.0', port: 8000 })).toBe('http://127.0.0.1:8000');
  expect(gatewayUrl({ host: '::', port: 8000 })).toBe('http://[::1]:8000');
  expect(gatewayUrl({ host: 'box.lan', port: 8000 })).toBe('http://box.lan:8000');
});

describe('while the configuration is broken', () => {
  test.each([
    [
      'elsewhere, the gateway is asked all the same, where the file says that it is',
      'max_first_token_ms: nope\nport: 18999\n',
      1,
      'http://127.0.0.1:18999',
    ],
    ['in where the gateway is, that is told', 'port: eighty\n', 2, 'it is not a whole number'],
  ])('%s', async (_name, yaml, code, words) => {
    const path = join(folder, 'swarmrouter.yaml');
    writeFileSync(path, yaml);
    const ran = await run('status', { SWARMROUTER_ADMIN_KEY: 'an-admin-key-0123456789' });
    rmSync(path);
    expect([ran.code, ran.error]).toEqual([code, expect.stringContaining(words)]);
  });
});

describe('with a running gateway', () => {
  const environment = { SWARMROUTER_ADMIN_KEY: 'cli-test-admin-key-0123' };
  let gateway: Gateway;

  beforeAll(async () => {
    const { started } = await run('start --port 0 --lmstudio-url http://127.0.0.1:1', environment);
    if (started === null) throw new Error('the settings were refused');
    gateway = await createGateway(started, { logTo: join(folder, 'log.jsonl') });
    await gateway.probed(3000);
  });
  afterAll(() => gateway.stop(0));

  const admin = (words: string, more: Record<string, string> = {}, typed: string | null = null) =>
    run(`${words} --port ${gateway.port}`, { ...environment, ...more }, typed);

  test('status tells what it is and how its targets are', async () => {
    const ran = await admin('status');
    expect(ran).toMatchObject({ code: 0, error: '' });
    expect(ran.out).toContain(`SwarmRouter ${VERSION} at http://127.0.0.1:${gateway.port}`);
    expect(ran.out).toMatch(/lmstudio +down +local/);
    const asJson = JSON.parse((await admin('status --json')).out);
    expect(asJson.targets[0]).toMatchObject({ id: 'lmstudio', health: 'down' });
  });

  test('providers are added with a typed key or a variable, listed without it, and removed', async () => {
    const typed = await admin(
      'providers add openrouter --base-url http://127.0.0.1:1/v1 --network lan',
      {},
      'sk-or-v1-typed-0123456789',
    );
    expect(typed).toMatchObject({ code: 0, error: '' });
    expect(typed.out).toContain('openrouter is in force for the next request');
    const named = await admin(
      'providers add azure --endpoint http://127.0.0.1:2 --network lan --deployments gpt-4o=main --api-key env:AZURE_SECRET',
      { AZURE_SECRET: 'azure-0123456789abcd' },
    );
    expect(named).toMatchObject({ code: 0, error: '' });

    const list = await admin('providers list');
    expect(list.out).toMatch(/openrouter +openrouter +cloud +\w+ +admin +sk-…6789 +http:\/\/127\.0\.0\.1:1\/v1/);
    expect(list.out).toMatch(/azure +azure-openai +cloud +\w+ +admin +azu…abcd +http:\/\/127\.0\.0\.1:2/);
    expect(list.out).toMatch(/lmstudio +lm-studio +local +down +environment +- +http:\/\/127\.0\.0\.1:1/);
    const stored = JSON.parse((await admin('providers list --json')).out);
    expect(stored.providers.find((provider: { name: string }) => provider.name === 'azure').deployments).toEqual({
      'gpt-4o': 'main',
    });

    for (const name of ['openrouter', 'azure']) {
      const removed = await admin(`providers remove ${name}`);
      expect(removed).toMatchObject({ code: 0, error: '' });
      expect(removed.out).toContain(`${name} is deleted`);
    }
    expect((await admin('providers list')).out).toContain('None of them was added at run time');
    const again = await admin('providers remove azure');
    expect(again.code).toBe(1);
    expect(again.error).toContain('azure');
  });

  test('servers of every kind are added, shown, changed and removed', async () => {
    const added = await admin(
      'providers add vllm --name box --base-url http://127.0.0.1:9 --max-concurrent 2 --idle-timeout 5',
    );
    expect(added).toMatchObject({ code: 0, error: '' });
    expect(added.out).toContain('box is in force for the next request.');
    const shown = await admin('providers show box');
    for (const line of [
      /^kind +vllm$/m,
      /^max concurrent +2$/m,
      /^idle timeout +5 s$/m,
      /^from +admin$/m,
      /^status +down/m,
    ]) {
      expect(shown.out).toMatch(line);
    }
    const changed = await admin(
      'providers update box --max-concurrent none --assemble false --api-key - --json',
      {},
      KEY,
    );
    expect(JSON.parse(changed.out).provider).toMatchObject({
      ...{ max_concurrent: null, assemble: false, key: 'key…6789', revision: 2 },
      given: { name: 'box', kind: 'vllm', url: 'http://127.0.0.1:9', network: 'lan', idle_timeout: 5, assemble: false },
    });
    // The key goes nowhere else unless it is given again.
    const moved = await admin('providers update box --base-url http://127.0.0.2:9');
    expect([moved.code, moved.error]).toEqual([2, expect.stringContaining('api_key')]);
    expect((await admin('providers update box --base-url http://127.0.0.2:9 --api-key none')).code).toBe(0);
    const replaced = await admin('providers add vllm --name box --base-url http://127.0.0.1:9 --json');
    expect(JSON.parse(replaced.out).provider).toMatchObject({ revision: 4, assemble: true, key: null });
    expect(JSON.parse((await admin('providers remove box --json')).out)).toMatchObject({ removed: 'box' });
  });

  test('what is wrong with a provider, or comes from elsewhere, is told with its exit code', async () => {
    const wrong = await admin(
      'providers add ollama --base-url ftp://x --max-concurrent many --queue-timeout -1 --place cloud',
    );
    expect(wrong.code).toBe(2);
    for (const field of ['3 problems', 'url', 'max_concurrent', 'queue_timeout']) expect(wrong.error).toContain(field);
    expect((await admin('providers add lm-studoi --base-url http://127.0.0.1:9')).code).toBe(2);
    expect((await admin('providers update nobody --idle-timeout 5')).code).toBe(1);
    expect((await admin('providers update nobody')).code).toBe(2);
    const elsewhere = await admin('providers update lmstudio --idle-timeout 5');
    expect([elsewhere.code, elsewhere.error]).toEqual([1, expect.stringContaining('comes from the environment')]);
    expect((await admin('providers show nobody')).error).toContain('There are: lmstudio');
    const help = await admin('providers --help');
    expect([help.code, help.out]).toEqual([0, expect.stringContaining('swarmrouter providers add lm-studio')]);
  });

  test('aliases are set, listed with where they come from, and removed', async () => {
    expect((await admin('aliases')).out).toContain('There is no alias');
    const set = await admin('aliases set gpt-4o lmstudio/qwen');
    expect(set).toMatchObject({ code: 0, error: '' });
    expect(set.out).toBe('"gpt-4o" stands for "lmstudio/qwen" from the next request on.\n');
    expect((await admin('aliases set fast GPT-4o')).out).toContain('Note: "GPT-4o" is an alias, too.');
    const list = await admin('aliases list');
    expect(list.out).toMatch(
      /NAME +STANDS FOR +FROM +SINCE\nfast +GPT-4o +admin +20\d\d-.*\ngpt-4o +lmstudio\/qwen +admin/,
    );
    expect(JSON.parse((await admin('aliases list --json')).out).aliases).toHaveLength(2);
    expect((await admin('aliases remove fast')).out).toContain('The alias "fast" is deleted');
    expect(JSON.parse((await admin('aliases remove gpt-4o --json')).out)).toMatchObject({ now_in_force: null });
    const wrong = await admin('aliases set a a');
    expect([wrong.code, wrong.error]).toEqual([2, expect.stringContaining('it stands for itself')]);
    expect((await admin('aliases remove nobody')).code).toBe(1);
    expect((await admin('aliases set a')).code).toBe(2);
  });

  test('routes are set, listed with where they come from, and removed', async () => {
    const set = await admin('routes set quick --strategy fastest --max-first-token-ms 800');
    expect(set).toMatchObject({ code: 0, error: '' });
    expect(set.out).toBe('The route "quick" counts from the next request on: x-swarmrouter-route: quick\n');
    const list = await admin('routes');
    expect(list.out).toMatch(/quick +fastest +off +800 ms +admin/);
    expect(list.out).toMatch(/fastest +fastest +off +- +built in/);
    const wrong = await admin('routes set Quick --strategy slowest --stream-recovery on');
    expect([wrong.code, wrong.error]).toEqual([2, expect.stringContaining('3 problems')]);
    const own = await admin('routes remove fastest');
    expect([own.code, own.error]).toEqual([1, expect.stringContaining('program itself')]);
    expect((await admin('routes remove quick')).out).toContain('requests that name it are refused');
    expect((await admin('routes remove quick')).code).toBe(1);
    expect((await admin('routes --help')).out).toContain('swarmrouter routes set quick');
  });

  test('prices are set, listed, shown for each target with their origin, and removed', async () => {
    const set = await admin('prices set Qwen3 --input 0.0375 --output 0.15 --cached-input 0 --per-request 0.001');
    expect(set).toMatchObject({ code: 0, error: '' });
    expect(set.out).toContain(
      'Qwen3 at every target costs $0.0375 in and $0.15 out for a million tokens, cached input $0, $0.001 a request',
    );
    expect(set.out).toContain('SWARMROUTER_USAGE=true');
    await admin('prices set other --provider lmstudio --input 1 --output 2');
    const list = await admin('prices list');
    expect(list.out).toMatch(
      /Qwen3 +every target +\$0\.0375 +\$0\.15 +cached input \$0, \$0\.001 a request +api +20\d\d-/,
    );
    expect(list.out).toMatch(/other +lmstudio +\$1 +\$2 +- +api/);
    expect(JSON.parse((await admin('prices list --json')).out).prices).toHaveLength(2);
    const shown = await admin('prices show qwen3');
    expect(shown.out).toMatch(/lmstudio +local +qwen3 +\$0\.0375 +\$0\.15 +.* +api, for every target/);
    const free = JSON.parse((await admin('prices show unpriced --json')).out);
    expect(free.targets[0]).toMatchObject({ target: 'lmstudio', source: 'local-rate', set_by: null });

    expect((await admin('prices remove other')).code).toBe(1);
    expect((await admin('prices remove other --provider lmstudio')).out).toContain('"other" at "lmstudio" is removed');
    expect((await admin('prices remove qwen3')).code).toBe(0);
    expect((await admin('prices list')).out).toContain('No price was set');
    const wrong = await admin('prices set m --input cheap');
    expect(wrong).toMatchObject({ code: 2, out: '' });
    expect(wrong.error).toContain('output_usd_per_mtok: it is missing');
  });

  test('keys are made, listed, changed, rotated and revoked, by name', async () => {
    const made = await admin('keys create --name alice --project web --rpm 60 --budget 20usd/month --places local');
    expect(made).toMatchObject({ code: 0, error: '' });
    const [text = ''] = /^wgl_live_\w+$/m.exec(made.out) ?? [];
    expect(text).not.toBe('');
    const list = await admin('keys');
    expect(list.out).toMatch(/alice +web +wgl_live_\w{4}…\w{4} +live +60 rpm +\$0 of \$20\/month/);
    expect((await admin('keys update alice --rpm none --concurrent 2')).out).toContain('2 concurrent');
    const shown = JSON.parse((await admin('keys show alice --json')).out);
    expect(shown).toMatchObject({ allowed_places: ['local'], limits: { rpm: null, concurrent: 2 }, revision: 2 });
    expect((await admin(`keys show ${text.slice(0, 13)}`)).out).toContain(shown.id);
    expect((await admin('keys rotate alice --grace 0')).out).toMatch(/^wgl_live_\w+$/m);
    await admin('keys create --name alice');
    const several = await admin('keys revoke alice');
    expect([several.code, several.error]).toEqual([2, expect.stringContaining('2 keys are called "alice"')]);
    expect((await admin(`keys revoke ${shown.id}`)).out).toContain('opens nothing any more');
    const wrong = await admin('keys create --name x --budget 20eur/month --expires soon');
    expect([wrong.code, wrong.error.trim().split('\n')]).toEqual([
      2,
      [expect.stringContaining('20usd/month'), expect.stringContaining('90d')],
    ]);
    expect((await admin('keys create --name x --rpm many')).code).toBe(2);
    expect((await admin('keys show nobody')).error).toContain('There is no key "nobody"');
  });

  test('budgets of the organisation, projects and models are made, listed, changed and removed', async () => {
    expect((await admin('budgets')).out).toContain('There is no budget but those of keys');
    await admin('keys create --name ann --project lab');
    const made = await admin('budgets create --project lab --budget 100usd/month');
    expect(made).toMatchObject({ code: 0, error: '' });
    const [id = ''] = /bud_[\w-]+/.exec(made.out) ?? [];
    expect(made.out).toContain('The project "lab" may now spend $100 a month.');
    expect((await admin('budgets list')).out).toMatch(/project +lab +\$0 of \$100\/month +\d{4}-\d\d-01 .* +bud_/);
    expect((await admin(`budgets update ${id} --limit 200.5usd --soft`)).out).toContain('$200.5 a month (soft');
    const listed = JSON.parse((await admin('budgets list --json')).out).budgets;
    expect(listed).toMatchObject([{ id, scope: 'project', name: 'lab', limit_usd: 200.5, hard: false, revision: 2 }]);
    const model = await admin('budgets create --model nobodys --budget 5tokens/total --json');
    expect(JSON.parse(model.out)).toMatchObject({ limit_tokens: 5, window: 'total', hard: true });
    expect((await admin('budgets create --organisation --budget 1usd/day')).out).toContain(
      'The organisation "default"',
    );

    const twice = await admin('budgets create --project lab --budget 1usd/month');
    expect([twice.code, twice.error]).toEqual([1, expect.stringContaining(id)]);
    const vague = await admin('budgets create --project lab --model x --budget lots');
    expect([vague.code, vague.error.trim().split('\n')]).toEqual([
      2,
      [expect.stringContaining('one of --organisation'), expect.stringContaining('20usd/month')],
    ]);
    expect((await admin(`budgets update ${id}`)).code).toBe(2);
    expect((await admin(`budgets update ${id} --limit 5usd/day`)).code).toBe(2);
    expect((await admin(`budgets update ${id} --limit 5tokens`)).code).toBe(2);
    expect((await admin(`budgets remove ${id}`)).out).toContain('no longer limited to $200.5 a month');
    expect((await admin(`budgets remove ${id}`)).code).toBe(1);
  });

  test('what the gateway refuses is told in its words', async () => {
    const ran = await admin('providers add openai-compatible --api-key k-0123456789');
    expect(ran.code).toBe(2);
    expect(ran.error).toContain('url: it is missing');
    expect(ran.error).toContain('name: it is missing');
  });

  test('no key, a key that leads nowhere and wrong deployments are told before anything is sent', async () => {
    const nothing = await admin('providers add openrouter');
    expect(nothing).toMatchObject({ code: 2 });
    expect(nothing.error).toContain('no API key was given');
    const nowhere = await admin('providers add openrouter --api-key env:NOWHERE');
    expect(nowhere.error).toContain('the variable NOWHERE is not set');
    const pairs = await admin('providers add azure --api-key k-0123456789 --deployments gpt-4o');
    expect(pairs.error).toContain('model=deployment');
  });

  test('a wrong admin key, a missing one, no gateway and something else at its address each have their own words', async () => {
    const wrong = await admin('status', { SWARMROUTER_ADMIN_KEY: 'another-key-0123456789' });
    expect(wrong).toMatchObject({ code: 1 });
    expect(wrong.error).toContain('refused the admin key');

    const missing = await admin('status', { SWARMROUTER_ADMIN_KEY: '', SWARMROUTER_DATA_DIR: join(folder, 'nothing') });
    expect(missing.error).toContain('There is no admin key at');

    const stranger = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: () => new Response('<html>', { status: 200 }),
    });
    const elsewhere = await admin(`status --url http://127.0.0.1:${stranger.port}`);
    expect(elsewhere.error).toContain('is not SwarmRouter');
    await stranger.stop(true);

    const gone = await admin(`status --url http://127.0.0.1:${stranger.port}`);
    expect(gone).toMatchObject({ code: 1 });
    expect(gone.error).toContain('No gateway answers at');
  });

  test('the admin key is read from the data folder when no variable holds it', async () => {
    const dataDir = mkdtempSync(join(folder, 'keys-'));
    writeFileSync(join(dataDir, 'admin-key'), `${environment.SWARMROUTER_ADMIN_KEY}\n`, { mode: 0o600 });
    const ran = await admin('status', { SWARMROUTER_ADMIN_KEY: '', SWARMROUTER_DATA_DIR: dataDir });
    expect(ran).toMatchObject({ code: 0, error: '' });
  });

  test('an unknown flag of a command that talks to it is wrong use', async () => {
    const ran = await admin('status --jsn');
    expect(ran.code).toBe(2);
    expect(ran.error).toContain('--json');
  });
});
