import { describe, expect, test } from 'bun:test';
import type { Problem } from '../core/problem.ts';
import type { Config, LoadInput, SettingInForce } from './config.ts';
import { loadConfig } from './load.ts';
import { needsClientKey, openHostProblem } from './open-host.ts';
import { describeProblem } from './problem.ts';

type Given = Partial<Omit<LoadInput, 'readFile'>> & { readonly files?: Readonly<Record<string, string>> };

function load({ files = {}, ...given }: Given) {
  return loadConfig({
    flags: {},
    environment: {},
    directory: '/work-folder',
    homeDirectory: '/home/ann',
    platform: 'linux',
    readFile: (path) => files[path.replace('/work-folder/', '')] ?? null,
    ...given,
  });
}

function configOf(given: Given): Config {
  const result = load(given);
  if (!result.ok) throw new Error(result.problems.map(describeProblem).join('\n'));
  return result.config;
}

function problemsOf(given: Given): readonly Problem[] {
  const result = load(given);
  if (result.ok) throw new Error('the settings were accepted');
  return result.problems;
}

const inForce = (config: Config, name: string): SettingInForce | undefined =>
  config.settings.find((setting) => setting.name === name);

const yaml = (text: string): Given => ({ files: { 'swarmrouter.yaml': text } });

describe('defaults', () => {
  test('with no settings at all it starts, on loopback, with the documented values', () => {
    const config = configOf({});
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8000,
      dataDir: '/home/ann/.local/share/swarmrouter',
      adminKey: null,
      strategy: 'local-first',
      standIn: 'always',
      maxRetries: 3,
      retryDelayMs: 1000,
      queueTimeoutMs: 60_000,
      queueLimit: 256,
      requestTimeoutMs: 300_000,
      probeIntervalMs: 5000,
      drainTimeoutMs: 30_000,
      maxBodyBytes: 33_554_432,
      logLevel: 'info',
      logRequests: false,
      logResponses: false,
    });
    expect(config.settings.every((setting) => setting.source === 'default')).toBe(true);
  });

  test('each kind of place has its own clocks, and a set clock counts for both', () => {
    const usual = configOf({});
    expect(usual.clocksFor('local')).toEqual({
      connectMs: 2000,
      firstByteMs: 30_000,
      firstTokenMs: 120_000,
      idleMs: 120_000,
      warmupMs: 180_000,
      streamMs: 1_800_000,
      queueMs: null,
    });
    expect(usual.clocksFor('cloud')).toMatchObject({
      connectMs: 5000,
      firstByteMs: 60_000,
      firstTokenMs: 60_000,
      idleMs: 30_000,
    });
    const set = configOf({ environment: { SWARMROUTER_CONNECT_TIMEOUT: '0.25', SWARMROUTER_IDLE_TIMEOUT: '7' } });
    for (const place of ['local', 'cloud'] as const) {
      expect(set.clocksFor(place)).toMatchObject({ connectMs: 250, idleMs: 7000 });
    }
  });

  test('an empty variable counts as unset', () => {
    const config = configOf({ environment: { SWARMROUTER_PORT: '', OPENROUTER_API_KEY: '  ' } });
    expect(config.port).toBe(8000);
    expect(config.targets.some((target) => target.place === 'cloud')).toBe(false);
  });
});

describe('places', () => {
  test('command line, environment, .env, YAML, default: the earlier wins, and it is told where a value came from', () => {
    const files = { '.env': 'SWARMROUTER_MAX_RETRIES=5', 'swarmrouter.yaml': '# retries\nmax_retries: 4' };
    const environment = { SWARMROUTER_MAX_RETRIES: '6' };
    const seen = [
      configOf({ files, environment, flags: { 'max-retries': '7' } }),
      configOf({ files, environment }),
      configOf({ files }),
      configOf(yaml(files['swarmrouter.yaml'])),
      configOf({}),
    ].map((config) => inForce(config, 'SWARMROUTER_MAX_RETRIES'));
    expect(seen.map((setting) => [setting?.value, setting?.source, setting?.where])).toEqual([
      ['7', 'command line', 'the command line'],
      ['6', 'environment', 'the environment'],
      ['5', '.env', '.env line 1'],
      ['4', 'yaml', 'swarmrouter.yaml line 2'],
      ['3', 'default', 'default'],
    ]);
  });

  test('an empty value in a stronger place does not hide a weaker one', () => {
    const config = configOf({
      environment: { SWARMROUTER_PORT: '' },
      files: { '.env': 'SWARMROUTER_PORT=\n', 'swarmrouter.yaml': 'port: 9100' },
    });
    expect(config.port).toBe(9100);
  });

  test('SWARMROUTER_CONFIG names another YAML file; one that is missing is a problem, the usual one may be missing', () => {
    const environment = { SWARMROUTER_CONFIG: 'conf/other.yaml' };
    const config = configOf({ environment, files: { 'conf/other.yaml': 'port: 9200' } });
    expect(config.port).toBe(9200);
    expect(inForce(config, 'SWARMROUTER_PORT')?.where).toBe('conf/other.yaml line 1');
    expect(problemsOf({ environment })).toMatchObject([{ name: 'SWARMROUTER_CONFIG', seen: 'conf/other.yaml' }]);
  });

  test('a file that cannot be read is a problem, not a crash', () => {
    const result = load({});
    expect(result.ok).toBe(true);
    const unreadable = loadConfig({
      flags: {},
      environment: {},
      directory: '/w',
      readFile: () => {
        throw new Error('EACCES: permission denied');
      },
    });
    expect(unreadable.ok).toBe(false);
    expect(unreadable.ok ? [] : unreadable.problems.map((problem) => problem.message).join()).toContain('EACCES');
  });

  test('lists, maps, numbers and booleans are read in YAML as YAML writes them', () => {
    const config = configOf(
      yaml(`
lmstudio_url: [http://a:1234, http://b:1234/v1]
retry_delay: 1.50
log_requests: yes
model_aliases:
  gpt-4o: qwen
  "odd,name=x": llama
allowed_hosts:
  - AI.example.com
`),
    );
    expect(config.targets.filter((target) => target.place === 'local').map((target) => target.baseUrl)).toEqual([
      'http://a:1234',
      'http://b:1234',
    ]);
    expect(config.retryDelayMs).toBe(1500);
    expect(config.logRequests).toBe(true);
    expect([...config.modelAliases]).toEqual([
      ['gpt-4o', 'qwen'],
      ['odd,name=x', 'llama'],
    ]);
    expect(config.allowedHosts).toEqual(['ai.example.com']);
  });

  test('trusted proxies are addresses and networks, each in its one spelling, and none unless they are given', () => {
    expect(configOf({}).trustedProxies).toEqual([]);
    const written = '127.0.0.1, 10.0.0.0/8,::1, FD00:0::/8,::ffff:192.168.0.0/112,::ffff:172.16.0.9,10.1.2.3/32';
    expect(configOf({ environment: { SWARMROUTER_TRUSTED_PROXIES: written } }).trustedProxies).toEqual([
      ...['127.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8', '192.168.0.0/16', '172.16.0.9', '10.1.2.3'],
    ]);
    expect(configOf(yaml('trusted_proxies: [10.0.0.0/8, "::1"]')).trustedProxies).toEqual(['10.0.0.0/8', '::1']);
  });

  test.each([
    ['nginx', 'it is not an IP address or network; names are not resolved here'],
    ['10.0.0.256', 'it is not an IP address'],
    ['10.1', 'it is not an IP address'],
    ['010.0.0.1', 'it is not an IP address'],
    ['fe80::1%eth0', 'it is not an IP address'],
    ['10.0.0.0/8/8', 'it is not an IP address'],
    ['10.0.0.0/33', 'the number after "/" should be from 1 to 32'],
    ['::1/129', 'the number after "/" should be from 1 to 128'],
    ['10.0.0.0/', 'the number after "/" should be from 1 to 32'],
    ['10.0.0.7/8', '10.0.0.7 is one address of that network; write 10.0.0.0/8, or the address alone'],
    ['fd00::7/8', 'write fd00::/8'],
    ['0.0.0.0/0', 'it means every address'],
    ['::ffff:0.0.0.0/96', 'it means every address'],
    ['::/0', 'it means every address'],
    ['10.0.0.0/8,10.0.0.0/8', '"10.0.0.0/8" is given twice'],
  ])('%p is no trusted proxy: %s', (written, reason) => {
    const [problem, ...more] = problemsOf({ environment: { SWARMROUTER_TRUSTED_PROXIES: written } });
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ name: 'SWARMROUTER_TRUSTED_PROXIES', seen: written });
    expect(problem?.message).toContain(reason);
    expect(problem?.allowed).toContain('a network such as 10.0.0.0/8');
  });

  test('`aliases:` is the YAML form of the alias setting, and a stronger place overrules it', () => {
    const file = yaml('aliases: { fast: openrouter/openai/gpt-4o-mini }');
    expect(configOf(file).modelAliases.get('fast')).toBe('openrouter/openai/gpt-4o-mini');
    const overruled = configOf({ ...file, environment: { SWARMROUTER_MODEL_ALIASES: 'slow=x' } });
    expect([...overruled.modelAliases]).toEqual([['slow', 'x']]);
  });

  test('the links that Kubernetes makes for a service called swarmrouter are not settings', () => {
    const config = configOf({
      environment: {
        SWARMROUTER_PORT: 'tcp://10.0.0.1:8000',
        SWARMROUTER_SERVICE_HOST: '10.0.0.1',
        SWARMROUTER_PORT_8000_TCP_ADDR: '10.0.0.1',
      },
    });
    expect(config.port).toBe(8000);
  });
});

describe('problems', () => {
  test('all are listed at once, each with the name, the value seen, what is allowed and the fix', () => {
    const problems = problemsOf({
      flags: { prot: '9' },
      environment: { SWARMROUTER_PORT: '99999', SWARMROUTER_MAX_RETRYS: '1', SWARMROUTER_LOG_LEVEL: 'loud' },
      files: { '.env': 'LMSTUDIO_TIMEOUT=30s\nnonsense', 'swarmrouter.yaml': 'hosst: x\nqueue_limit: -1' },
    });
    const summary = problems.map(({ name, where, seen }) => [name, where, seen]);
    expect(summary).toEqual([
      ['.env', '.env line 2', null],
      ['--prot', 'the command line', null],
      ['SWARMROUTER_MAX_RETRYS', 'the environment', null],
      ['hosst', 'swarmrouter.yaml line 1', null],
      ['LMSTUDIO_TIMEOUT', '.env line 1', '30s'],
      ['queue_limit', 'swarmrouter.yaml line 2', '-1'],
      ['SWARMROUTER_PORT', 'the environment', '99999'],
      ['SWARMROUTER_LOG_LEVEL', 'the environment', 'loud'],
    ]);
    expect(problems.every((problem) => problem.fix !== '')).toBe(true);
    const text = problems.map(describeProblem).join('\n');
    expect(text).toContain('did you mean --port?');
    expect(text).toContain('did you mean SWARMROUTER_MAX_RETRIES?');
    expect(text).toContain('did you mean host?');
    expect(text).toContain('a whole number from 0 to 65535');
    expect(text).toContain('one of DEBUG, INFO, WARN, ERROR');
  });

  test("other programs' variables are no mistake in the environment, but a near miss in .env is", () => {
    expect(load({ environment: { AZURE_CLIENT_ID: 'x', OPENROUTER_KEY: 'x', LMSTUDIO_HOME: '/x' } }).ok).toBe(true);
    expect(problemsOf({ files: { '.env': 'OPENROUTER_KEY=x\nPATH_TO=x' } })).toMatchObject([
      { name: 'OPENROUTER_KEY', where: '.env line 1', fix: 'did you mean OPENROUTER_API_KEY' },
    ]);
  });

  test.each([
    'CHANGEME',
    'change-me',
    'your-api-key',
    '<your key>',
    'sk-...',
    'sk-or-v1-xxxx',
    'xxxx',
    '$KEY',
    'api-key-here',
  ])('the placeholder %s is not taken for a key', (value) => {
    const [problem, ...others] = problemsOf({ environment: { OPENROUTER_API_KEY: value, OPENROUTER_ENABLED: 'true' } });
    expect(problem?.message).toContain('placeholder');
    expect(others).toEqual([]);
  });

  test('a key with a space or a curly quote is refused, and never shown', () => {
    for (const value of ['sk-or-v1-0123456789 abcdef', '“sk-or-v1-0123456789abcdef”']) {
      const problems = problemsOf({ environment: { OPENROUTER_API_KEY: value } });
      expect(problems).toHaveLength(1);
      expect(problems.map(describeProblem).join()).not.toContain('0123456789');
    }
  });

  test('S-07 a key that would end its header, or go on in the next, is refused wherever it is written', () => {
    for (const inside of ['\r\n', '\n', '\r', '\0', '\t', '\u007f', 'é', '\u2028']) {
      const key = `sk-or-v1-0123456789${inside}x-injected: 1`;
      const places = [
        { environment: { OPENROUTER_API_KEY: key } },
        { environment: { OPENROUTER_API_KEY: 'env:HELD', HELD: key } },
        yaml(
          `targets:\n  - name: box\n    kind: vllm\n    url: http://127.0.0.1:1\n    api_key: ${JSON.stringify(key)}`,
        ),
        { environment: { OPENROUTER_API_KEY: 'file:/run/key' }, files: { '/run/key': key } },
      ];
      for (const place of places) {
        const problems = problemsOf(place);
        expect([inside, problems.length]).toEqual([inside, 1]);
        expect(problems.map(describeProblem).join()).not.toContain('0123456789');
      }
    }
  });

  test('a password in a URL is refused and not shown', () => {
    const text = problemsOf({ environment: { LMSTUDIO_URL: 'http://me:hunter2@box:1234' } })
      .map(describeProblem)
      .join();
    expect(text).toContain('user name or password');
    expect(text).not.toContain('hunter2');
  });

  test('a time with a unit is refused with a word about the unit', () => {
    expect(problemsOf({ environment: { SWARMROUTER_QUEUE_TIMEOUT: '500ms' } })[0]?.message).toContain(
      'bare number of seconds',
    );
  });

  test('bad YAML is told with its line and without its text', () => {
    const problems = problemsOf(yaml('port: 9000\nopenrouter_api_key: "sk-or-v1-verysecret\nhost: [1\n'));
    expect(problems[0]?.where).toMatch(/^swarmrouter\.yaml line \d+$/);
    expect(JSON.stringify(problems)).not.toContain('verysecret');
    expect(problemsOf(yaml('port: 1\nport: 2'))[0]?.where).toBe('swarmrouter.yaml line 2');
    // Nothing is told of what a parser can only guess.
    const wrongIndent = problemsOf(yaml('targets:\n  - name: a\n   kind: lm-studio\n'));
    expect(wrongIndent.map(({ where }) => where)).toEqual(['swarmrouter.yaml line 3']);
    expect(problemsOf(yaml('- port'))[0]?.message).toContain('not a mapping');
  });
});

describe('settings that depend on each other', () => {
  test('a provider that is enabled without what it needs is a problem', () => {
    const problems = problemsOf({ environment: { OPENROUTER_ENABLED: 'true', AZURE_ENABLED: 'true' } });
    expect(problems.map((problem) => problem.name)).toEqual(['OPENROUTER_ENABLED', 'AZURE_ENABLED']);
    expect(problems[1]?.message).toContain('AZURE_ENDPOINT and AZURE_API_KEY are not set');
  });

  test('a key for Azure needs an endpoint, unless Azure is turned off', () => {
    expect(problemsOf({ environment: { AZURE_API_KEY: 'k-0123456789' } })).toMatchObject([{ name: 'AZURE_API_KEY' }]);
    expect(load({ environment: { AZURE_API_KEY: 'k-0123456789', AZURE_ENABLED: 'false' } }).ok).toBe(true);
  });

  test('an address that others can reach needs an admin key, or a client key, which the start looks for', () => {
    const open = configOf({ environment: { SWARMROUTER_HOST: '0.0.0.0' } });
    expect(needsClientKey(open)).toBe(true);
    const problem = openHostProblem(open);
    expect(problem).toMatchObject({ name: 'SWARMROUTER_HOST', seen: '0.0.0.0', where: 'the environment' });
    expect(problem.fix).toContain('SWARMROUTER_ADMIN_KEY');
    const config = configOf({
      environment: { SWARMROUTER_HOST: '0.0.0.0', SWARMROUTER_ADMIN_KEY: 'a-long-random-text' },
    });
    expect(config.adminKey?.reveal()).toBe('a-long-random-text');
    expect(needsClientKey(config)).toBe(false);
    for (const host of ['localhost', '::1', '127.0.0.2'])
      expect(needsClientKey(configOf({ environment: { SWARMROUTER_HOST: host } }))).toBe(false);
  });

  test('a clock that could never run out is refused, one left alone is not', () => {
    const environment = { SWARMROUTER_REQUEST_TIMEOUT: '1', SWARMROUTER_QUEUE_TIMEOUT: '5' };
    const [problem, ...others] = problemsOf({ environment });
    expect(problem).toMatchObject({
      name: 'SWARMROUTER_QUEUE_TIMEOUT',
      seen: '5',
      where: 'the environment',
      allowed: 'at most 1',
    });
    expect(others).toEqual([]);
    expect(load({ environment: { SWARMROUTER_REQUEST_TIMEOUT: '1' } }).ok).toBe(true);
  });

  test('a retry budget that nobody can have is refused', () => {
    const environment = { SWARMROUTER_RETRY_BUDGET: '150', SWARMROUTER_RETRY_BUDGET_FLOOR: '-1' };
    expect(problemsOf({ environment }).map(({ name, seen }) => [name, seen])).toEqual([
      ['SWARMROUTER_RETRY_BUDGET', '150'],
      ['SWARMROUTER_RETRY_BUDGET_FLOOR', '-1'],
    ]);
  });

  test('routes are read, and each wrong one is named with its line', () => {
    const config = configOf(
      yaml(
        'stream_recovery: continue\nroutes:\n  plain: { stream_recovery: off, max_first_token_ms: 900 }\n  usual:\n',
      ),
    );
    expect([...config.routes.values()]).toEqual([
      { name: 'local-first', strategy: 'local-first', streamRecovery: true, maxFirstTokenMs: null },
      { name: 'fastest', strategy: 'fastest', streamRecovery: true, maxFirstTokenMs: null },
      { name: 'plain', strategy: 'local-first', streamRecovery: false, maxFirstTokenMs: 900 },
      { name: 'usual', strategy: 'local-first', streamRecovery: true, maxFirstTokenMs: null },
    ]);
    const text =
      'routes:\n  Big: {}\n  local-first: {}\n  a:\n    strategy: best\n  b:\n    stream_recovery: maybe\n  c:\n    stratgy: x\n';
    expect(problemsOf(yaml(text)).map(({ name, where }) => [name, where])).toEqual([
      ['routes.c.stratgy', 'swarmrouter.yaml line 9'],
      ['routes.Big', 'swarmrouter.yaml line 2'],
      ['routes.local-first', 'swarmrouter.yaml line 3'],
      ['routes.a.strategy', 'swarmrouter.yaml line 4'],
      ['routes.b.stream_recovery', 'swarmrouter.yaml line 7'],
    ]);
    expect(problemsOf(yaml('routes: 7'))).toMatchObject([{ name: 'routes' }]);
  });

  test('prices and local rates are read whole, and each wrong one is named with its line', () => {
    const config = configOf(
      yaml(`
        prices:
          - { model: qwen, input_usd_per_mtok: 0.15, output_usd_per_mtok: "0.6" }
          - &base { model: 8, provider: groq, input_usd_per_mtok: 1e-3, output_usd_per_mtok: 2 }
        local_rates:
          - { provider: mac, watts: 40, usd_per_kwh: 0.3 }
        local_watts: 300
        kwh_usd: 0.36
        compare_with: { my-tune: openai/gpt-4o-mini }
      `),
    );
    expect(config.prices).toMatchObject([
      { model: 'qwen', provider: null, price: { rates: { input: 150_000_000, output: 600_000_000 } } },
      { model: '8', provider: 'groq', price: { rates: { input: 1_000_000 } } },
    ]);
    expect(config.localRates).toMatchObject([
      { provider: 'mac' },
      { provider: null, price: { msFemtoUsd: 30_000_000 } },
    ]);
    expect([...config.compareWith]).toEqual([['my-tune', 'openai/gpt-4o-mini']]);
    const wrong = `prices:
  - model: a
    input_usd_per_mtok: -1
  - { model: b, input_usd_per_mtok: 1, output_usd_per_mtok: 1 }
  - { model: B, input_usd_per_mtok: 1, output_usd_per_mtok: 1 }
  - &loop [*loop]
local_rates: { watts: 3 }
price: 3
`;
    expect(problemsOf(yaml(wrong)).map(({ name, where }) => [name, where])).toEqual([
      ['price', 'swarmrouter.yaml line 8'],
      ['local_rates', 'swarmrouter.yaml line 7'],
      ['prices[0].input_usd_per_mtok', 'swarmrouter.yaml line 2'],
      ['prices[0].output_usd_per_mtok', 'swarmrouter.yaml line 2'],
      ['prices[2].model', 'swarmrouter.yaml line 5'],
      ['prices[3]', 'swarmrouter.yaml line 6'],
    ]);
  });

  test('a price of electricity needs the watts too, and is said once', () => {
    const alone = problemsOf({ environment: { SWARMROUTER_KWH_USD: '0.3' } });
    expect(alone).toMatchObject([
      { name: 'SWARMROUTER_KWH_USD', fix: 'set SWARMROUTER_LOCAL_WATTS too, or remove it' },
    ]);
    const watts = problemsOf({ environment: { SWARMROUTER_LOCAL_WATTS: '300' } });
    expect(watts).toMatchObject([{ name: 'SWARMROUTER_LOCAL_WATTS' }]);
    expect(problemsOf({ environment: { SWARMROUTER_LOCAL_WATTS: '300', SWARMROUTER_KWH_USD: 'cheap' } })).toHaveLength(
      1,
    );
    const twice = problemsOf({
      environment: { SWARMROUTER_LOCAL_WATTS: '300', SWARMROUTER_KWH_USD: '0.3' },
      ...yaml('local_rates:\n  - { provider: mac, watts: 1, usd_per_kwh: 1 }\n  - { watts: 1, usd_per_kwh: 1 }\n'),
    });
    expect(twice).toMatchObject([{ name: 'local_rates[1]', where: 'swarmrouter.yaml line 3' }]);
  });

  test('an unknown strategy is refused with those there are', () => {
    const environment = { SWARMROUTER_STRATEGY: 'best' };
    expect(problemsOf({ environment })[0]?.allowed).toBe('one of local-first, fastest');
    expect(configOf({ environment, strategies: ['local-first', 'best'] }).strategy).toBe('best');
  });
});

describe('an identity provider', () => {
  const OIDC = {
    SWARMROUTER_OIDC_ISSUER: 'https://login.example.com/realms/staff/',
    SWARMROUTER_OIDC_CLIENT_ID: 'router',
    SWARMROUTER_OIDC_ROLES: 'groups:platform=admin, groups:web=member:web,https://example.com/roles:boss=owner',
  };
  const messages = (environment: Record<string, string>) =>
    problemsOf({ environment }).map(({ name, message }) => `${name}: ${message}`);

  test('is read with its roles, its name to the letter, and a client without a secret', () => {
    const { oidc } = configOf({ environment: OIDC });
    expect(oidc).toEqual({
      issuer: 'https://login.example.com/realms/staff/',
      clientId: 'router',
      clientSecret: null,
      scopes: 'openid profile',
      nameClaim: 'preferred_username',
      roles: [
        { claim: 'groups', value: 'platform', grant: { role: 'admin', projectId: null } },
        { claim: 'groups', value: 'web', grant: { role: 'member', projectId: 'web' } },
        { claim: 'https://example.com/roles', value: 'boss', grant: { role: 'owner', projectId: null } },
      ],
    });
    expect(configOf({}).oidc).toBeNull();
  });

  test('may have names with commas in its claims, as a list of the YAML file', () => {
    const file =
      'oidc_issuer: https://id.example.com\noidc_client_id: a\noidc_roles:\n  - groups:cn=ops,dc=example=admin\n';
    expect(configOf(yaml(file)).oidc?.roles).toEqual([
      { claim: 'groups', value: 'cn=ops,dc=example', grant: { role: 'admin', projectId: null } },
    ]);
  });

  test('needs a client and roles, and they need it', () => {
    const { SWARMROUTER_OIDC_ISSUER, ...rest } = OIDC;
    expect(messages({ SWARMROUTER_OIDC_ISSUER })).toEqual([
      'SWARMROUTER_OIDC_ISSUER: SWARMROUTER_OIDC_CLIENT_ID is not set',
      'SWARMROUTER_OIDC_ISSUER: SWARMROUTER_OIDC_ROLES is not set',
    ]);
    expect(messages({ ...rest, SWARMROUTER_OIDC_CLIENT_SECRET: 'abcdefgh-0123456789' })).toHaveLength(3);
  });

  test('sends people back to an address that is known, over TLS', () => {
    const open = { ...OIDC, SWARMROUTER_HOST: '0.0.0.0', SWARMROUTER_ADMIN_KEY: 'abcdefgh-0123456789' };
    expect(messages(open)).toEqual(['SWARMROUTER_OIDC_ISSUER: it is not known where logins come back to']);
    expect(configOf({ environment: { ...open, SWARMROUTER_PUBLIC_URL: 'https://ai.example.com/' } }).publicUrl).toBe(
      'https://ai.example.com',
    );
    for (const name of ['SWARMROUTER_OIDC_ISSUER', 'SWARMROUTER_PUBLIC_URL']) {
      const [told = ''] = messages({ ...OIDC, [name]: 'http://login.example.com' });
      expect(told).toContain(`${name}: it must begin with https://`);
      expect(configOf({ environment: { ...OIDC, [name]: 'http://localhost:9000' } }).oidc).not.toBeNull();
    }
    expect(messages({ ...OIDC, SWARMROUTER_PUBLIC_URL: 'https://ai.example.com/router' })).toHaveLength(1);
  });

  test('is refused with a role that there is not, a rule without a claim, and scopes without openid', () => {
    for (const rule of [
      'groups:web=boss',
      'web=member',
      'groups:=member',
      ':x=member',
      'groups:web',
      'groups:a=member:A B',
    ]) {
      expect(messages({ ...OIDC, SWARMROUTER_OIDC_ROLES: rule })).toHaveLength(1);
    }
    expect(messages({ ...OIDC, SWARMROUTER_OIDC_SCOPES: 'profile email' })).toHaveLength(1);
  });
});

describe('secrets', () => {
  test('are masked in the settings in force', () => {
    const config = configOf({ environment: { OPENROUTER_API_KEY: 'sk-or-v1-0123456789abcdef' } });
    expect(inForce(config, 'OPENROUTER_API_KEY')?.value).toBe('sk-…cdef');
    expect(JSON.stringify(config)).not.toContain('0123456789');
  });

  test('may stand in another variable or in a file', () => {
    const config = configOf({
      environment: {
        MY_KEY: 'k-from-a-variable',
        OPENROUTER_API_KEY: 'env:MY_KEY',
        LMSTUDIO_API_KEY: 'file:secrets/lm',
      },
      files: { 'secrets/lm': 'k-from-a-file\n' },
    });
    const keys = config.targets.map((target) => target.apiKey?.reveal());
    expect(keys).toContain('k-from-a-variable');
    expect(keys).toContain('k-from-a-file');
  });

  test('the address of a database must be one of PostgreSQL, and its password is not shown', () => {
    const faultOf = (url: string) => problemsOf({ environment: { SWARMROUTER_DATABASE_URL: url } });
    for (const url of ['mysql://me:geheim-0123@box/name', 'box:5432', 'http://me:geheim-0123@box/name']) {
      const problems = faultOf(url);
      expect(problems).toMatchObject([
        { name: 'SWARMROUTER_DATABASE_URL', message: 'it must begin with postgres:// or postgresql://' },
      ]);
      expect(JSON.stringify(problems)).not.toContain('geheim');
    }
    const slashed = faultOf('postgres://me:gehe/im-0123@box/name');
    expect(slashed).toMatchObject([{ message: expect.stringContaining('write / as %2F') }]);
    expect(JSON.stringify(slashed)).not.toContain('im-0123');
    for (const url of [
      'postgres://me:pw@box:5432/name',
      'postgresql://box/name',
      'postgres:///name?host=/run/pg',
      'postgres://me:pw@/name?host=/run/pg',
      'postgres://me@/name',
      'postgres://%2Frun%2Fpg/name',
      'postgres://me:p%2Fw@%2Frun%2Fpg:6000/name',
    ]) {
      expect(configOf({ environment: { SWARMROUTER_DATABASE_URL: url } }).databaseUrl?.reveal()).toBe(url);
    }
  });

  test('a reference that leads nowhere is told by its own name', () => {
    const problems = problemsOf({
      environment: { OPENROUTER_API_KEY: 'env:NOWHERE', LMSTUDIO_API_KEY: 'file:/nowhere' },
    });
    expect(problems.map((problem) => [problem.name, problem.seen])).toEqual([
      ['LMSTUDIO_API_KEY', 'file:/nowhere'],
      ['OPENROUTER_API_KEY', 'env:NOWHERE'],
    ]);
  });
});
