import { describe, expect, test } from 'bun:test';
import { type GivenProvider, NOTHING_MORE } from '../core/given-provider.ts';
import { Secret } from '../core/secret.ts';
import type { Target } from '../core/target.ts';
import { loadConfig } from './load.ts';
import { targetFromGivenProvider } from './targets.ts';

function load(environment: Record<string, string>, yaml: string | null = null) {
  return loadConfig({
    flags: {},
    environment,
    directory: '/w',
    readFile: (path) => (path.endsWith('.yaml') ? yaml : null),
    homeDirectory: '/home/ann',
    platform: 'linux',
  });
}

function targetsOf(environment: Record<string, string>, yaml: string | null = null): readonly Target[] {
  const result = load(environment, yaml);
  if (!result.ok) throw new Error(JSON.stringify(result.problems, null, 2));
  return result.config.targets;
}

const idsAndUrls = (targets: readonly Target[]) => targets.map((target) => `${target.id} ${target.baseUrl}`);

function problemsOf(yaml: string, environment: Record<string, string> = {}) {
  const result = load(environment, yaml);
  return result.ok ? [] : result.problems.map(({ name, where, message }) => `${name} (${where}): ${message}`);
}

describe('with nothing set', () => {
  test('every local kind is looked for on this machine, and nobody is told of those that are absent', () => {
    const targets = targetsOf({ SWARMROUTER_PORT: '9000' });
    expect(idsAndUrls(targets)).toEqual([
      'lmstudio http://localhost:1234',
      'ollama http://localhost:11434',
      'llamacpp http://localhost:8080',
      'llamacpp-2 http://localhost:9931',
      'vllm http://localhost:8000',
      'sglang http://localhost:30000',
    ]);
    expect(targets.every((target) => target.optional && target.source === 'found' && target.place === 'local')).toBe(
      true,
    );
    expect(targets.filter((target) => target.adapterKind === 'llama-cpp').map((target) => target.provider)).toEqual([
      'llamacpp',
      'llamacpp',
    ]);
  });

  test('the gateway does not look for a server on its own port', () => {
    expect(targetsOf({}).map((target) => target.id)).not.toContain('vllm');
    expect(targetsOf({ SWARMROUTER_PORT: '8080' }).map((target) => target.baseUrl)).not.toContain(
      'http://localhost:8080',
    );
  });
});

describe('local servers of the environment', () => {
  test('any local URL ends the search for other kinds, but LM Studio stays on', () => {
    expect(idsAndUrls(targetsOf({ OLLAMA_URL: 'http://box:11434' }))).toEqual([
      'lmstudio http://localhost:1234',
      'ollama http://box:11434',
    ]);
    expect(idsAndUrls(targetsOf({ OLLAMA_URL: 'http://box:11434', LMSTUDIO_ENABLED: 'false' }))).toEqual([
      'ollama http://box:11434',
    ]);
  });

  test('several URLs make several targets of one provider, expected to be there', () => {
    const targets = targetsOf({ LMSTUDIO_URL: 'http://a:1234/, http://b:1234/v1', LMSTUDIO_API_KEY: 'lm-key' });
    expect(idsAndUrls(targets)).toEqual(['lmstudio http://a:1234', 'lmstudio-2 http://b:1234']);
    for (const target of targets) {
      expect(target).toMatchObject({
        provider: 'lmstudio',
        source: 'environment',
        optional: false,
        adapterKind: 'lm-studio',
      });
      expect(target.apiKey?.reveal()).toBe('lm-key');
    }
  });

  test('LMSTUDIO_ENABLED=true expects LM Studio; =false leaves it out and the others are still looked for', () => {
    expect(targetsOf({ LMSTUDIO_ENABLED: 'true' })).toMatchObject([{ id: 'lmstudio', optional: false }]);
    const without = targetsOf({ LMSTUDIO_ENABLED: 'false' });
    expect(without.map((target) => target.provider)).not.toContain('lmstudio');
    expect(without.length).toBeGreaterThan(1);
  });

  test('the limit and the assembling of whole replies count for local targets only', () => {
    const targets = targetsOf({
      LMSTUDIO_URL: 'http://a:1234',
      OPENROUTER_API_KEY: 'sk-or-v1-0123456789',
      SWARMROUTER_MAX_CONCURRENT: '7',
    });
    expect(targets.map((target) => [target.id, target.maxConcurrent, target.assembleWholeReplies])).toEqual([
      ['lmstudio', 7, true],
      ['openrouter', null, false],
    ]);
    const whole = targetsOf({ LMSTUDIO_URL: 'http://a:1234', SWARMROUTER_ASSEMBLE: 'off' });
    expect(whole[0]?.assembleWholeReplies).toBe(false);
  });
});

describe('cloud providers of the environment', () => {
  const azure = { AZURE_ENDPOINT: 'https://r.openai.azure.com/', AZURE_API_KEY: 'azure-key-0123' };

  test('are on when their key is there, and off when they are told so', () => {
    const keys = { ...azure, OPENROUTER_API_KEY: 'sk-or-v1-0123456789' };
    const cloud = (environment: Record<string, string>) =>
      targetsOf(environment)
        .filter((target) => target.place === 'cloud')
        .map((target) => target.id);
    expect(cloud(keys)).toEqual(['openrouter', 'azure']);
    expect(cloud({ ...keys, OPENROUTER_ENABLED: 'false', AZURE_ENABLED: 'false' })).toEqual([]);
    expect(cloud({ AZURE_ENDPOINT: azure.AZURE_ENDPOINT })).toEqual([]);
  });

  test('carry their default model, deployments and API version', () => {
    const targets = targetsOf({
      ...azure,
      AZURE_DEPLOYMENTS: 'gpt-4o=main, gpt-4o-mini = small',
      AZURE_DEFAULT_DEPLOYMENT: 'small',
      AZURE_API_VERSION: '2024-10-21',
      OPENROUTER_API_KEY: 'sk-or-v1-0123456789',
      OPENROUTER_DEFAULT_MODEL: 'openai/gpt-4o-mini',
    });
    expect(targets.find((target) => target.id === 'azure')).toMatchObject({
      adapterKind: 'azure-openai',
      baseUrl: 'https://r.openai.azure.com',
      defaultModel: 'small',
      deployments: new Map([
        ['gpt-4o', 'main'],
        ['gpt-4o-mini', 'small'],
      ]),
      apiVersion: '2024-10-21',
      network: 'any',
    });
    expect(targets.find((target) => target.id === 'openrouter')?.defaultModel).toBe('openai/gpt-4o-mini');
  });
});

describe('targets of the YAML file', () => {
  test('say all that variables cannot', () => {
    const [box, groq, router] = targetsOf(
      { LMSTUDIO_ENABLED: 'false', GROQ_KEY: 'gsk-0123456789' },
      `
targets:
  - name: gpu-box
    kind: lmstudio
    url: http://192.168.1.20:1234/v1
    max_concurrent: 8
    assemble: false
    first_byte_timeout: 12.5
  - { name: groq, kind: openai-compatible, url: https://api.example.com/openai/v1, api_key: env:GROQ_KEY, default_model: llama, on_disconnect: drain }
  - { name: second, kind: openrouter, api_key: sk-or-v1-0123456789 }
`,
    );
    expect(box).toMatchObject({
      id: 'gpu-box',
      provider: 'lmstudio',
      adapterKind: 'lm-studio',
      place: 'local',
      baseUrl: 'http://192.168.1.20:1234',
      source: 'yaml',
      maxConcurrent: 8,
      onDisconnect: 'cancel',
      assembleWholeReplies: false,
      clocks: { connectMs: 2000, firstByteMs: 12_500, idleMs: 120_000 },
    });
    expect(groq).toMatchObject({
      id: 'groq',
      provider: 'groq',
      onDisconnect: 'drain',
      place: 'cloud',
      baseUrl: 'https://api.example.com/openai/v1',
      defaultModel: 'llama',
      clocks: { connectMs: 5000 },
    });
    expect(groq?.apiKey?.reveal()).toBe('gsk-0123456789');
    expect(router).toMatchObject({ id: 'second', provider: 'openrouter', baseUrl: 'https://openrouter.ai/api/v1' });
  });

  test('one whose kind is to be found is one of our own machines, at its root', () => {
    const yaml = 'targets: [{ name: box, kind: auto, url: "http://box:8000/v1" }]';
    const box = targetsOf({}, yaml).find(({ id }) => id === 'box');
    expect(box).toMatchObject({ adapterKind: 'auto', provider: 'box', place: 'local', baseUrl: 'http://box:8000' });
  });

  test('a local one ends the search on this machine, a cloud one does not', () => {
    const local = 'targets: [{ name: box, kind: vllm, url: "http://box:8000" }]';
    expect(targetsOf({}, local).map((target) => target.id)).toEqual(['lmstudio', 'box']);
    const cloud = 'targets: [{ name: far, kind: openai-compatible, url: "https://far.example.com/v1" }]';
    expect(targetsOf({}, cloud).map((target) => target.id)).toContain('ollama');
  });

  test('one at the usual address of LM Studio replaces the search for it; one with its usual id moves the found one aside', () => {
    const same = 'targets: [{ name: mine, kind: lm-studio, url: "http://127.0.0.1:1234" }]';
    expect(targetsOf({}, same).map((target) => target.id)).toEqual(['mine']);
    const named = 'targets: [{ name: lmstudio, kind: lm-studio, url: "http://gpu:1234" }]';
    expect(idsAndUrls(targetsOf({}, named))).toEqual(['lmstudio-2 http://localhost:1234', 'lmstudio http://gpu:1234']);
  });

  test('every mistake in them is listed with its line', () => {
    expect(
      problemsOf(
        `
targets:
  - name: Box One
    kind: lmstudoi
    url: box:1234
  - name: a
    kind: openai-compatible
  - { name: a, kind: ollama, url: "http://x", api_kye: k }
  - { name: lmstudio, kind: openai-compatible, url: "http://y", max_concurrent: 3 }
  - { name: b, kind: vllm, url: "http://z", deployments: { m: d }, api_version: v, on_disconnect: drain }
`,
        { LMSTUDIO_URL: 'http://gpu:1234' },
      ),
    ).toEqual([
      'targets[2].api_kye (swarmrouter.yaml line 8): there is no such key',
      'targets[0].name (swarmrouter.yaml line 3): it is not a target name',
      'targets[0].kind (swarmrouter.yaml line 4): it is not one of the choices',
      'targets[0].url (swarmrouter.yaml line 5): it must start with http:// or https://',
      'targets[1].url (swarmrouter.yaml line 6): it is missing',
      'targets[2].name (swarmrouter.yaml line 8): the name is taken by targets[1] (swarmrouter.yaml line 6)',
      'targets[3].name (swarmrouter.yaml line 9): the name is taken by the target of LMSTUDIO_URL',
      'targets[3].name (swarmrouter.yaml line 9): the name means something else in a model name',
      'targets[3].max_concurrent (swarmrouter.yaml line 9): cloud targets have no limit',
      'targets[4].on_disconnect (swarmrouter.yaml line 10): a local target would work for nobody',
      'targets[4].deployments (swarmrouter.yaml line 10): only Azure has deployments',
      'targets[4].api_version (swarmrouter.yaml line 10): only Azure has API versions',
    ]);
  });
});

describe('providers given at run time', () => {
  const clocks = { connectMs: 1, firstByteMs: 2, firstTokenMs: 3, idleMs: 4, warmupMs: 5, streamMs: 6, queueMs: null };
  const apiKey = new Secret('run-time-key');
  const usual = { clocksFor: () => clocks, maxConcurrent: 6, assemble: true };
  const networkOf = (provider: GivenProvider) => targetFromGivenProvider(provider, usual).network;
  const given = { ...NOTHING_MORE, apiKey, network: 'public', revision: 1 } as const;
  const openRouter = { ...given, kind: 'openrouter', name: 'openrouter', url: null, defaultModel: 'm' } as const;
  const compatible = { ...given, kind: 'openai-compatible', name: 'far', url: 'https://far/v1' } as const;
  const azure = {
    ...given,
    ...({ kind: 'azure-openai', name: 'azure', url: 'https://r.openai.azure.com/openai/v1/' } as const),
    deployments: { 'gpt-4o': 'main' },
    defaultModel: 'main',
  } as const;
  const studio = {
    ...given,
    kind: 'lm-studio',
    name: 'studio',
    url: 'http://10.0.0.2:1234/v1',
    network: 'lan',
  } as const;

  test('become cloud targets with the admin API as their source', () => {
    const target = targetFromGivenProvider(azure, usual);
    expect(target).toMatchObject({
      id: 'azure',
      provider: 'azure',
      adapterKind: 'azure-openai',
      place: 'cloud',
      baseUrl: 'https://r.openai.azure.com',
      source: 'admin',
      optional: false,
      maxConcurrent: null,
      clocks,
      defaultModel: 'main',
      assembleWholeReplies: false,
    });
    expect(target.deployments.get('gpt-4o')).toBe('main');
    expect(targetFromGivenProvider({ ...compatible, network: 'lan' }, usual)).toMatchObject({
      id: 'far',
      provider: 'far',
    });
  });

  test('become local targets like those of the YAML file, with what they say themselves before what is usual', () => {
    const expected = { place: 'local', provider: 'lmstudio', baseUrl: 'http://10.0.0.2:1234', network: 'lan' };
    expect(targetFromGivenProvider({ ...studio, apiKey: null }, usual)).toMatchObject({
      ...{ ...expected, id: 'studio', maxConcurrent: 6, assembleWholeReplies: true, apiKey: null, clocks },
    });
    const own = { maxConcurrent: 2, assemble: false, clocks: { ...studio.clocks, idleMs: 99 } };
    expect(targetFromGivenProvider({ ...studio, ...own }, usual)).toMatchObject({
      ...{ ...expected, maxConcurrent: 2, assembleWholeReplies: false, clocks: { ...clocks, idleMs: 99 } },
    });
  });

  test('any address that was typed in must be public, unless the LAN was meant', () => {
    expect(networkOf(openRouter)).toBe('any');
    expect(networkOf({ ...openRouter, url: 'https://mirror.example.com' })).toBe('public');
    expect(networkOf(azure)).toBe('public');
    expect(networkOf({ ...compatible, network: 'public' })).toBe('public');
    expect(networkOf({ ...compatible, network: 'lan' })).toBe('lan');
  });
});
