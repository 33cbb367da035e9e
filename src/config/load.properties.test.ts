import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { LoadInput } from './config.ts';
import { loadConfig } from './load.ts';
import { flagOf, isSecret, SETTING_LIST, type Setting, yamlKeyOf } from './schema.ts';
import { masterKeys, pepper, postgresUrl } from './setting-kinds.ts';

/** What makes every combination of single settings a whole that fits together. */
const TOGETHER = {
  OPENROUTER_API_KEY: 'sk-or-v1-base-key-0123',
  AZURE_API_KEY: 'azure-base-key-0123',
  AZURE_ENDPOINT: 'https://base.openai.azure.com',
  SWARMROUTER_ADMIN_KEY: 'admin-base-key-0123',
  SWARMROUTER_LOCAL_WATTS: '300',
  SWARMROUTER_KWH_USD: '0.3',
  SWARMROUTER_PUBLIC_URL: 'https://router.example',
  SWARMROUTER_OIDC_ISSUER: 'https://login.example',
  SWARMROUTER_OIDC_CLIENT_ID: 'router',
  SWARMROUTER_OIDC_ROLES: 'groups:staff=member',
};

/** Not the file's own path, nor the strategy, whose choices are not the schema's, nor the clock that bounds others. */
const settings = SETTING_LIST.map(([, setting]) => ({ ...setting, [fc.toStringMethod]: () => setting.name })).filter(
  ({ name }) => !['SWARMROUTER_CONFIG', 'SWARMROUTER_STRATEGY', 'SWARMROUTER_REQUEST_TIMEOUT'].includes(name),
);

const word = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}[a-z]$/);
const address = fc
  .tuple(word, fc.integer({ min: 1024, max: 65_535 }))
  .map(([host, port]) => `http://${host}.example:${port}`)
  // Made-up punycode (`xn--a`) is no name.
  .filter((url) => URL.canParse(url));
const key = fc.stringMatching(/^[A-Za-z0-9]{16,24}$/).map((text) => `k1-${text}`);
const pairs = fc.uniqueArray(fc.tuple(word, word), { minLength: 1, maxLength: 3, selector: ([name]) => name });
const list = <T>(item: fc.Arbitrary<T>) =>
  fc.uniqueArray(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(','));

/** Good values of a setting, as a person would write them. */
function goodText({ kind }: Setting<unknown>): fc.Arbitrary<string> {
  switch (kind.type) {
    case 'boolean':
      return fc.constantFrom('true', 'FALSE', 'yes', 'off', '1', '0');
    case 'integer':
    case 'seconds':
      // Two ranges: no setting excludes all of both, which would be looked for without end.
      return fc
        .oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1_000, max: 10_000 }))
        .map(String)
        .filter((text) => kind.parse(text).ok);
    case 'decimal':
      return fc.integer({ min: 0, max: 100_000 }).map((thousandths) => String(thousandths / 1_000));
    case 'choice':
      return fc.constantFrom(...kind.placeholder.split('|'));
    case 'secret':
      if (kind === postgresUrl) return fc.tuple(key, word).map((parts) => `postgres://me:${parts.join('@')}:5432/name`);
      return kind === pepper || kind === masterKeys ? fc.stringMatching(/^[0-9a-f]{64}$/) : key;
    case 'url':
      return address;
    case 'https url':
      return address.map((url) => url.replace('http:', 'https:'));
    case 'scopes':
      return word.map((scope) => `openid ${scope}`);
    case 'role list':
      return list(fc.tuple(word, word).map(([value, project]) => `groups:${value}=member:${project}`));
    case 'url list':
      return list(address);
    case 'host list':
      return list(word);
    case 'address list':
      return list(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          fc.integer({ min: 1, max: 255 }).map((first) => `${first}.0.0.0/8`),
        ),
      );
    case 'map':
      return pairs.map((entries) => entries.map((entry) => entry.join('=')).join(','));
    default:
      return word;
  }
}

/** Values that no setting of the kind takes; null: any text is good. */
function badText({ kind }: Setting<unknown>): fc.Arbitrary<string> | null {
  switch (kind.type) {
    case 'boolean':
    case 'choice':
      return fc.constantFrom('maybe', '2', 'tru');
    case 'integer':
      return fc.constantFrom('-1', '1.5', 'ten', '99999999');
    case 'decimal':
      return fc.constantFrom('-1', '30W', 'ten', '0.00000001', '99999999');
    case 'seconds':
      return fc.constantFrom('-1', '30s', 'ten', '99999999');
    case 'secret':
      return fc.constantFrom('CHANGEME', 'sk-...', 'two words');
    case 'url':
    case 'url list':
      return fc.constantFrom('box:1234', 'ftp://box', 'http://a?b', 'http://me:pw@box');
    case 'https url':
      return fc.constantFrom('http://box', 'box:1234', 'https://a?b', 'https://me:pw@box');
    case 'scopes':
      return fc.constantFrom('profile email', 'openid "x"');
    case 'role list':
      return fc.constantFrom('groups:web', 'groups:web=boss', 'web=member', 'groups:web=member:A B');
    case 'host':
    case 'host list':
      return fc.constantFrom('http://box', 'two words', 'a/b');
    case 'address list':
      return fc.constantFrom('box', '10.1', '10.0.0.0/0', '10.0.0.1/8', '::1/129');
    case 'map':
      return fc.constantFrom('no-pair', '=x', 'a=', 'a=b,a=c');
    default:
      return null;
  }
}

type Layer = 'flags' | 'environment' | '.env' | 'yaml';
const LAYERS: readonly Layer[] = ['flags', 'environment', '.env', 'yaml'];
const SOURCES = { flags: 'command line', environment: 'environment', '.env': '.env', yaml: 'yaml' } as const;

interface Written {
  readonly setting: Setting<unknown>;
  readonly layer: Layer;
  readonly text: string;
}

function inputFrom(written: readonly Written[], base: Record<string, string> = {}): LoadInput {
  const at = (layer: Layer) => written.filter((one) => one.layer === layer);
  const envFile = at('.env').map(({ setting, text }) => `${setting.name}="${text}"`);
  const yaml = at('yaml').map(({ setting, text }) => `${yamlKeyOf(setting.name)}: ${JSON.stringify(text)}`);
  const environment = at('environment').map(({ setting, text }) => [setting.name, text] as const);
  return {
    flags: Object.fromEntries(at('flags').map(({ setting, text }) => [flagOf(setting.name), text])),
    environment: { ...base, ...Object.fromEntries(environment) },
    directory: '/w',
    readFile: (path) => (path.endsWith('.env') ? envFile.join('\n') : path.endsWith('.yaml') ? yaml.join('\n') : null),
    homeDirectory: '/home/ann',
    platform: 'linux',
  };
}

const anyLayer = fc.constantFrom(...LAYERS);
const goodSettings = fc
  .subarray(settings)
  .chain((chosen) =>
    fc.tuple(
      ...chosen.map((setting) =>
        fc.record({ setting: fc.constant(setting), layer: anyLayer, text: goodText(setting) }),
      ),
    ),
  );

describe('for any settings', () => {
  test('any subset of good values, spread over the places, loads and is in force as written', () => {
    fc.assert(
      fc.property(goodSettings, (written) => {
        // A base value in the environment would overrule a weaker place.
        const taken = new Set(written.map(({ setting }) => setting.name));
        const base = Object.fromEntries(Object.entries(TOGETHER).filter(([name]) => !taken.has(name)));
        const result = loadConfig(inputFrom(written, base));
        if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2));
        for (const { setting, layer, text } of written) {
          const parsed = setting.kind.parse(text);
          const shown = parsed.ok ? setting.kind.show(parsed.value) : 'not good';
          const value = setting.name === 'SWARMROUTER_DATA_DIR' ? `/w/${shown}` : shown;
          const inForce = result.config.settings.find((one) => one.name === setting.name);
          expect(inForce).toMatchObject({ value, source: SOURCES[layer] });
        }
        const ids = result.config.targets.map((target) => target.id);
        expect(new Set(ids).size).toBe(ids.length);
      }),
    );
  });

  test('what is shown as in force, written back, means the same', () => {
    for (const setting of settings.filter((candidate) => !isSecret(candidate))) {
      fc.assert(
        fc.property(goodText(setting), (text) => {
          const first = setting.kind.parse(text);
          const shown = first.ok ? setting.kind.show(first.value) : '';
          const second = setting.kind.parse(shown);
          expect(second).toEqual(first);
        }),
        { numRuns: 20 },
      );
    }
  });

  test('of several places the strongest counts', () => {
    const oneSetting = fc.constantFrom(...settings).chain((setting) =>
      fc.record({
        setting: fc.constant(setting),
        texts: fc.array(goodText(setting), { minLength: 4, maxLength: 4 }),
        layers: fc.subarray([...LAYERS], { minLength: 1 }),
      }),
    );
    fc.assert(
      fc.property(oneSetting, ({ setting, texts, layers }) => {
        const written = layers.map((layer, index) => ({ setting, layer, text: texts[index] ?? '' }));
        const base = Object.fromEntries(Object.entries(TOGETHER).filter(([name]) => name !== setting.name));
        const result = loadConfig(inputFrom(written, base));
        if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2));
        const strongest = LAYERS.find((layer) => layers.includes(layer)) ?? 'flags';
        expect(result.config.settings.find((one) => one.name === setting.name)?.source).toBe(SOURCES[strongest]);
      }),
    );
  });

  test('every bad value is among the problems, wherever it stands', () => {
    const breakable = settings.flatMap((setting) => {
      const text = badText(setting);
      return text === null ? [] : [{ setting, text }];
    });
    const broken = fc
      .subarray(breakable, { minLength: 1 })
      .chain((chosen) =>
        fc.tuple(
          ...chosen.map(({ setting, text }) => fc.record({ setting: fc.constant(setting), layer: anyLayer, text })),
        ),
      );
    fc.assert(
      fc.property(broken, (written) => {
        const result = loadConfig(inputFrom(written));
        const names = new Set(result.ok ? [] : result.problems.map((problem) => problem.name));
        for (const { setting, layer } of written) {
          const { name } = setting;
          expect(names).toContain(layer === 'flags' ? `--${flagOf(name)}` : layer === 'yaml' ? yamlKeyOf(name) : name);
        }
      }),
    );
  });

  test('no text in any place makes it throw', () => {
    const someValues = fc.dictionary(fc.constantFrom(...settings.map(({ name }) => name)), fc.string());
    fc.assert(
      fc.property(
        someValues,
        fc.string({ unit: 'grapheme' }),
        fc.string(),
        fc.json(),
        (environment, envFile, flag, yaml) => {
          for (const text of [yaml, envFile, `targets: ${yaml}`, `targets: [${yaml}]`]) {
            const readFile = (path: string) => (path.endsWith('.env') ? envFile : text);
            const result = loadConfig({ flags: { [flag]: flag }, environment, directory: '/w', readFile });
            expect(result.ok || result.problems.length > 0).toBe(true);
          }
        },
      ),
    );
  });

  test('no secret is shown, whether it is good or bad', () => {
    const secrets = settings.filter(isSecret);
    const spoiled = fc.tuple(key, fc.constantFrom('', ' and more', '”')).map((parts) => parts.join(''));
    const written = fc.tuple(
      ...secrets.map((setting) => fc.record({ setting: fc.constant(setting), layer: anyLayer, text: spoiled })),
    );
    fc.assert(
      fc.property(written, (secretsWritten) => {
        const shown = JSON.stringify(loadConfig(inputFrom(secretsWritten)));
        for (const { text } of secretsWritten) expect(shown).not.toContain(text.slice(3, 15));
      }),
    );
  });
});
