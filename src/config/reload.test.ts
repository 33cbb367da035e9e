import { describe, expect, test } from 'bun:test';
import type { Config, LoadResult } from './config.ts';
import { loadConfig } from './load.ts';
import { changedNames, Reloader, withoutRestart } from './reload.ts';
import { SETTING_LIST } from './schema.ts';

const ADMIN_KEY = 'admin-key-0123456789';

function load(environment: Record<string, string> = {}, listeningOn?: number): LoadResult {
  const base = { SWARMROUTER_ADMIN_KEY: ADMIN_KEY, SWARMROUTER_DATA_DIR: '/data' };
  const port = listeningOn === undefined ? {} : { listeningOn };
  return loadConfig({
    flags: {},
    environment: { ...base, ...environment },
    directory: '/w',
    readFile: () => null,
    ...port,
  });
}

function configOf(environment: Record<string, string> = {}, listeningOn?: number): Config {
  const result = load(environment, listeningOn);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

/** Without the function, which is another one each time. */
const comparable = ({ clocksFor, ...rest }: Config) => ({ ...rest, clocks: [clocksFor('local'), clocksFor('cloud')] });

/** For each setting that needs a restart, a value that is not its default. */
const OTHER_VALUES: Readonly<Record<string, string>> = {
  SWARMROUTER_RETRY_BUDGET: '50',
  SWARMROUTER_RETRY_BUDGET_FLOOR: '7',
  SWARMROUTER_DRAIN_TIMEOUT: '7',
  SWARMROUTER_HOST: '::1',
  SWARMROUTER_PORT: '8080',
  SWARMROUTER_ALLOWED_HOSTS: 'ai.example.com',
  SWARMROUTER_TRUSTED_PROXIES: '127.0.0.1',
  SWARMROUTER_ADMIN_KEY: 'another-key-0123456789',
  SWARMROUTER_DATA_DIR: '/elsewhere',
  SWARMROUTER_MAX_BODY_MB: '7',
  SWARMROUTER_MAX_MEMORY_MB: '700',
  SWARMROUTER_MAX_LOOP_LAG: '7',
  SWARMROUTER_BODY_TIMEOUT: '7',
  SWARMROUTER_SLOW_BODY_LIMIT: '7',
  SWARMROUTER_LOG_LEVEL: 'DEBUG',
  SWARMROUTER_DECISIONS: '7',
  SWARMROUTER_LOG_REQUESTS: 'true',
  SWARMROUTER_LOG_RESPONSES: 'true',
  SWARMROUTER_USAGE: 'true',
  SWARMROUTER_BUDGET_ANSWER_TOKENS: '8192',
  SWARMROUTER_DATABASE_URL: 'postgres://router:secret@db:5432/router',
  SWARMROUTER_KEY_PEPPER: `${'0123456789abcdef'.repeat(3)}fedcba9876543210`,
  SWARMROUTER_MASTER_KEY: `${'0123456789abcdef'.repeat(3)}fedcba9876543210`,
  SWARMROUTER_PUBLIC_URL: 'https://ai.example.com',
  SWARMROUTER_OIDC_ISSUER: 'https://id.example.com',
  SWARMROUTER_OIDC_CLIENT_ID: 'another',
  SWARMROUTER_OIDC_CLIENT_SECRET: 'another-secret-0123456789',
  SWARMROUTER_OIDC_ROLES: 'groups:all=member',
  SWARMROUTER_OIDC_SCOPES: 'openid email',
  SWARMROUTER_OIDC_NAME_CLAIM: 'email',
};

/** These say nothing alone. */
const OIDC = {
  SWARMROUTER_OIDC_ISSUER: 'https://login.example.com',
  SWARMROUTER_OIDC_CLIENT_ID: 'router',
  SWARMROUTER_OIDC_ROLES: 'groups:staff=member',
};

describe('a setting that needs a restart', () => {
  const needRestart = SETTING_LIST.filter(([, setting]) => setting.restart).map(([, { name }]) => name);

  test.each(needRestart)('%s stays what it was at the start, and nothing else of its change counts', (name) => {
    const others = name.includes('OIDC') || name.includes('PUBLIC') ? OIDC : {};
    const start = configOf(others);
    const value = OTHER_VALUES[name];
    if (value === undefined) throw new Error(`give ${name} a value above that is not its default`);
    const written = configOf({ ...others, [name]: value }, start.port);
    expect(comparable(written)).not.toEqual(comparable(start));
    expect(comparable(withoutRestart(start, written))).toEqual(comparable(start));
  });

  test('prices of the file are named when they change, and count', () => {
    const withFile = (text: string): Config => {
      const readFile = (path: string) => (path.endsWith('.yaml') ? text : null);
      const loaded = loadConfig({ flags: {}, environment: {}, directory: '/w', readFile });
      if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
      return loaded.config;
    };
    const price = (usd: number) => `prices: [{ model: m, input_usd_per_mtok: ${usd}, output_usd_per_mtok: 1 }]`;
    const rate = 'local_rates: [{ watts: 1, usd_per_kwh: 1 }]';
    expect(changedNames(withFile(price(1)), withFile(price(2)))).toEqual(['prices']);
    expect(changedNames(withFile(price(1)), withFile(`${price(1)}\n${rate}`))).toEqual(['local_rates']);
    const settings = 'local_watts: 1\nkwh_usd: 1';
    expect(changedNames(withFile(''), withFile(settings))).toEqual(['SWARMROUTER_LOCAL_WATTS', 'SWARMROUTER_KWH_USD']);
    expect(withoutRestart(withFile(price(1)), withFile(price(2))).prices[0]?.price.rates.input).toBe(2e9);
  });

  test('is one of those listed: any other counts as it is written', () => {
    const start = configOf();
    const written = configOf({
      LMSTUDIO_URL: 'http://box:1',
      OPENROUTER_API_KEY: 'sk-or-v1-0123456789',
      SWARMROUTER_DEFAULT_MODEL: 'm',
      SWARMROUTER_MODEL_ALIASES: 'a=b',
      SWARMROUTER_STAND_IN: 'never',
      SWARMROUTER_MAX_RETRIES: '9',
      SWARMROUTER_RETRY_DELAY: '9',
      SWARMROUTER_MAX_CONCURRENT: '9',
      SWARMROUTER_QUEUE_LIMIT: '9',
      SWARMROUTER_PROBE_INTERVAL: '9',
      SWARMROUTER_QUEUE_TIMEOUT: '9',
      SWARMROUTER_REQUEST_TIMEOUT: '290',
      SWARMROUTER_CLIENT_STALL_TIMEOUT: '9',
      SWARMROUTER_CANCEL_GRACE: '9',
    });
    expect(comparable(withoutRestart(start, written))).toEqual(comparable(written));
    expect(changedNames(start, written)).toHaveLength(14);
  });
});

describe('a gateway that runs', () => {
  test('is not looked for as a model server, whatever port is written for the next start', () => {
    const urls = (config: Config) => config.targets.map(({ baseUrl }) => baseUrl);
    const written = { SWARMROUTER_PORT: '8080' };
    expect(urls(configOf(written))).toContain('http://localhost:8000');
    expect(urls(configOf(written, 8000))).toEqual(urls(configOf()));
  });
});

describe('the reloader', () => {
  function reloader(start: Config = configOf()) {
    const given = {
      next: load(),
      applied: [] as Config[],
      failing: null as Error | null,
      targets: [] as string[],
      logged: [] as string[],
    };
    const note = (_: object, message: string) => void given.logged.push(message);
    const made = new Reloader(start, {
      load: () => given.next,
      apply: (config) => {
        if (given.failing !== null) throw given.failing;
        given.applied.push(config);
        return { added: [], removed: [], changed: given.targets, kept: [] };
      },
      logger: { debug: note, info: note, warn: note, error: note },
      wallMs: () => 1_700_000_000_000,
    });
    return { made, given };
  }

  test('names what waits for a restart until it is written as it was again', () => {
    const { made, given } = reloader();
    given.next = load({ SWARMROUTER_MAX_BODY_MB: '7', SWARMROUTER_MAX_RETRIES: '9' });
    expect(made.reload()).toMatchObject({
      changed: ['SWARMROUTER_MAX_RETRIES', 'SWARMROUTER_MAX_BODY_MB'],
      needRestart: ['SWARMROUTER_MAX_BODY_MB'],
    });
    expect(made.reload()).toMatchObject({ changed: [], needRestart: ['SWARMROUTER_MAX_BODY_MB'] });
    expect(made.state.needRestart).toEqual(['SWARMROUTER_MAX_BODY_MB']);
    const shown = made.config.settings.find(({ name }) => name === 'SWARMROUTER_MAX_BODY_MB');
    expect([shown?.value, made.config.maxBodyBytes, made.config.maxRetries]).toEqual(['32', 32 * 1_048_576, 9]);
    given.next = load();
    expect(made.reload()).toMatchObject({ needRestart: [] });
    expect(made.state.needRestart).toEqual([]);
  });

  test('raises the version only when something counts that did not before, and forgets the latest mistake', () => {
    const { made, given } = reloader();
    given.next = load({ SWARMROUTER_MAX_RETRIES: 'many' });
    expect(made.reload().ok).toBe(false);
    given.next = load();
    expect(made.reload()).toMatchObject({ ok: true, changed: [] });
    expect(made.state).toMatchObject({ version: 1, lastError: null });
    // A target's key is masked in the settings: only what applies it knows.
    given.targets = ['desk'];
    expect(made.reload()).toMatchObject({ ok: true, changed: [] });
    expect(made.state.version).toBe(2);
    given.targets = [];
    given.next = load({ SWARMROUTER_MAX_RETRIES: '9' });
    made.reload();
    made.reload();
    expect(made.state.version).toBe(3);
  });

  test('keeps everything when what applies it fails', () => {
    const { made, given } = reloader();
    given.next = load({ SWARMROUTER_MAX_RETRIES: '9' });
    given.failing = new Error('no adapter');
    expect(() => made.reload()).toThrow('no adapter');
    expect([made.config.maxRetries, made.state.version]).toEqual([3, 1]);
    given.failing = null;
    expect(made.reload()).toMatchObject({ ok: true, changed: ['SWARMROUTER_MAX_RETRIES'] });
  });

  test('watches what the latest attempt looked at, also when it was refused', () => {
    const { made, given } = reloader();
    expect(made.files).toEqual(['/w/.env', '/w/swarmrouter.yaml']);
    given.next = load({ SWARMROUTER_CONFIG: 'other.yaml', OPENROUTER_API_KEY: 'file:/run/key' });
    expect(made.reload().ok).toBe(false);
    expect(made.files).toEqual(['/w/.env', '/w/other.yaml', '/run/key']);
  });

  test('says that routes changed, which are no setting', () => {
    const withRoutes = (text: string) =>
      loadConfig({
        flags: {},
        environment: {},
        directory: '/w',
        homeDirectory: '/home/ann',
        readFile: (path) => (path.endsWith('.yaml') ? text : null),
      });
    const before = withRoutes('routes: {careful: {stream_recovery: off}}');
    const after = withRoutes('routes: {careful: {stream_recovery: continue}}');
    if (!before.ok || !after.ok) throw new Error('the routes were refused');
    expect(changedNames(before.config, after.config)).toEqual(['routes']);
  });
});
