import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { type GivenProvider, NOTHING_MORE } from '../core/given-provider.ts';
import { Secret } from '../core/secret.ts';
import { ADAPTER_KINDS } from '../core/target.ts';
import { loadOrCreateAdminKey } from './admin-key-file.ts';
import { givenProviderFile } from './given-provider-file.ts';
import { parseProviders, providerRecord, serialiseProviders } from './given-provider-format.ts';
import { learnedFile, MOST_LEARNED_BYTES } from './learned-file.ts';
import { MasterKeys } from './sealing/envelope.ts';
import { givenMasterKeys, masterKeyFile } from './sealing/master-key-file.ts';

let parent: string;
let folder: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'swarmrouter-stores-'));
  folder = join(parent, 'data');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const permissions = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);

const PROVIDERS: readonly GivenProvider[] = [
  {
    ...{ ...NOTHING_MORE, kind: 'openrouter', name: 'openrouter', url: null, network: 'public', revision: 1 },
    ...{ apiKey: new Secret('sk-or-1'), defaultModel: 'a/b' },
  },
  {
    ...{ ...NOTHING_MORE, kind: 'azure-openai', name: 'azure', url: 'https://r.openai.azure.com', network: 'lan' },
    ...{ apiKey: new Secret('azure-key'), apiVersion: '2024-10-21', revision: 1 },
    deployments: { 'gpt-4o': 'prod-4o', __proto__x: 'y' },
  },
  {
    ...{ ...NOTHING_MORE, kind: 'openai-compatible', name: 'box', url: 'http://10.0.0.2/v1', network: 'lan' },
    ...{ apiKey: new Secret('k'), revision: 1 },
  },
];

/** As the versions before wrote them. */
const CLOUD_ENTRIES = [
  { type: 'openrouter', name: 'openrouter', network: 'public', baseUrl: null, defaultModel: 'a/b' },
  {
    ...{ type: 'azure', name: 'azure', network: 'lan', endpoint: 'https://r.openai.azure.com' },
    ...{ apiVersion: '2024-10-21', deployments: { 'gpt-4o': 'prod-4o', __proto__x: 'y' }, defaultDeployment: null },
  },
  { type: 'openai-compatible', name: 'box', network: 'lan', baseUrl: 'http://10.0.0.2/v1', defaultModel: null },
];

const keyOf = (name: string): string => PROVIDERS.find((one) => one.name === name)?.apiKey?.reveal() ?? '';

const [ONE, TWO] = [new Secret('ab'.repeat(32)), new Secret('cd'.repeat(32))];
const KEYS = new MasterKeys([ONE]);
const fileIn = (dataDir: string) => givenProviderFile(dataDir, givenMasterKeys([ONE]));

/** With the keys shown, so that a lost key is seen. */
const plain = (providers: readonly GivenProvider[]) =>
  providers.map((provider) => ({ ...provider, apiKey: provider.apiKey?.reveal() ?? null }));

describe('the overflow provider file', () => {
  test('gives back what was saved, keys included, to a new process', async () => {
    await fileIn(folder).save(PROVIDERS);
    expect(plain(await fileIn(folder).load())).toEqual(plain(PROVIDERS));
  });

  test('is empty when there is no file yet', async () => {
    expect(await fileIn(folder).load()).toEqual([]);
  });

  test.skipIf(process.platform === 'win32')('is readable by its owner alone, and so is its new folder', async () => {
    const store = fileIn(folder);
    await store.save(PROVIDERS);
    expect([await permissions(store.path), await permissions(folder)]).toEqual(['600', '700']);
    await chmod(store.path, 0o644);
    await store.load();
    expect(await permissions(store.path)).toBe('600');
  });

  test('leaves no temporary file behind, also when saving fails', async () => {
    await fileIn(folder).save(PROVIDERS);
    expect(await readdir(folder)).toEqual(['overflow-providers.json']);
    await writeFile(join(parent, 'file'), '');
    const blocked = fileIn(join(parent, 'file', 'below'));
    await expect(blocked.save(PROVIDERS)).rejects.toThrow();
    const taken = fileIn(parent);
    await Bun.write(join(taken.path, 'x'), 'a folder in the place of the file');
    await expect(taken.save(PROVIDERS)).rejects.toThrow();
    expect((await readdir(parent)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  const damaged: readonly [string, string, string][] = [
    ['cut off', '{"version":1,"providers":[{"type":"openrouter","apiKey":"sk-canary"', 'it is not JSON'],
    ['empty', '', 'it is not JSON'],
    ['a list', '[]', 'the file should be a JSON object'],
    ['without version', '{"providers":[]}', '"version" should be 3 or 2 or 1'],
    ['from a newer program', '{"version":4,"providers":[]}', 'format version 4 is newer'],
    [
      'with a key that is not sealed in a version that seals them',
      '{"version":2,"providers":[{"type":"openrouter","name":"n","network":"public","apiKey":"sk-canary"}]}',
      'providers[0].sealedApiKey',
    ],
    [
      'of an unknown kind',
      '{"version":3,"providers":[{"kind":"x","name":"n","network":"public","sealedApiKey":null}]}',
      'providers[0].kind',
    ],
    [
      'of an unknown type',
      '{"version":1,"providers":[{"type":"x","name":"n","network":"public","apiKey":"sk-canary"}]}',
      'providers[0].type',
    ],
    [
      'without a key',
      '{"version":1,"providers":[{"type":"openrouter","name":"n","network":"public","apiKey":""}]}',
      'providers[0].apiKey',
    ],
    [
      'with a name twice',
      '{"version":1,"providers":[{"type":"openrouter","name":"n","network":"public","apiKey":"sk-canary"},{"type":"openrouter","name":"n","network":"public","apiKey":"b"}]}',
      'two providers are named "n"',
    ],
  ];
  for (const [how, text, message] of damaged) {
    test(`that is ${how} is refused by name, without showing a key, and left as it is`, async () => {
      const store = fileIn(parent);
      await writeFile(store.path, text);
      const error = await store.load().then(
        () => new Error('it loaded'),
        (reason: Error) => reason,
      );
      expect(error.message).toContain(message);
      expect(error.message).toContain(store.path);
      expect(error.message).toContain('move it away');
      expect(error.message).not.toContain('sk-canary');
      expect(await readFile(store.path, 'utf8')).toBe(text);
    });
  }

  test('holds any text in any field', () => {
    const text = fc.string({ minLength: 1, unit: 'binary' });
    const count = fc.option(fc.integer({ min: 1, max: 1e9 }));
    const flag = fc.option(fc.boolean());
    const provider: fc.Arbitrary<GivenProvider> = fc.record({
      kind: fc.constantFrom(...ADAPTER_KINDS, 'auto' as const),
      name: text,
      apiKey: fc.option(text.map((value) => new Secret(value))),
      network: fc.constantFrom('lan' as const, 'public' as const),
      place: fc.option(fc.constantFrom('local' as const, 'cloud' as const)),
      url: text,
      apiVersion: fc.option(text),
      deployments: fc.dictionary(text, text, { maxKeys: 4 }),
      defaultModel: fc.option(text),
      maxConcurrent: count,
      assemble: flag,
      continuesAnswers: flag,
      onDisconnect: fc.option(fc.constantFrom('cancel' as const, 'drain' as const)),
      clocks: fc.record({
        ...{ connectMs: count, firstByteMs: count, firstTokenMs: count, idleMs: count, warmupMs: count },
        ...{ streamMs: count, queueMs: fc.option(fc.nat()) },
      }),
      revision: fc.integer({ min: 1, max: 1e9 }),
    });
    fc.assert(
      fc.property(fc.uniqueArray(provider, { selector: ({ name }) => name, maxLength: 4 }), (providers) => {
        const sealed = new Map(
          providers.flatMap((one) =>
            one.apiKey === null ? [] : [[one.name, KEYS.seal(one.apiKey, providerRecord(one), 1)] as const],
          ),
        );
        const read = parseProviders(serialiseProviders(providers, sealed), (one, record) => KEYS.open(one, record));
        expect(plain(read.providers)).toEqual(plain(providers));
      }),
    );
  });
});

describe('S-08 provider keys on the disk', () => {
  const texts = async () => {
    const files = await readdir(folder);
    return (await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))).join('\n');
  };
  const PLAIN = JSON.stringify({
    version: 1,
    providers: CLOUD_ENTRIES.map((entry) => ({ ...entry, apiKey: keyOf(entry.name) })),
  });

  test('are sealed: no file of the data folder holds one', async () => {
    await givenProviderFile(folder, masterKeyFile(folder)).save(PROVIDERS);
    for (const { name } of PROVIDERS) {
      if (keyOf(name).length > 3) expect(await texts()).not.toContain(keyOf(name));
    }
    expect(plain(await givenProviderFile(folder, masterKeyFile(folder)).load())).toEqual(plain(PROVIDERS));
  });

  test('of a file of an earlier version are sealed when it is read, and stay what they were', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'overflow-providers.json'), PLAIN);
    const store = givenProviderFile(folder, masterKeyFile(folder));
    expect(plain(await store.load())).toEqual(plain(PROVIDERS));
    const key = PROVIDERS.map(({ name }) => keyOf(name)).find((text) => text.length > 8) ?? '';
    expect(key).not.toBe('');
    expect(await texts()).not.toContain(key);
    expect(plain(await givenProviderFile(folder, masterKeyFile(folder)).load())).toEqual(plain(PROVIDERS));
  });

  test('that cannot be sealed now are known all the same, and somebody is told', async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'overflow-providers.json'), PLAIN);
    const warnings: string[] = [];
    const broken = { ...givenMasterKeys([ONE]), load: () => Promise.reject(new Error('no key here')) };
    const store = givenProviderFile(folder, broken, (message) => void warnings.push(message));
    expect(await store.load().then(plain, String)).toEqual(plain(PROVIDERS));
    expect(warnings[0]).toContain('no key here');
    expect(await readFile(store.path, 'utf8')).toBe(PLAIN);
  });

  test('of a file of the version before, which held cloud providers alone, still open, and are written anew as they are', async () => {
    const sealed = (entry: (typeof CLOUD_ENTRIES)[number]) => {
      const { type, name, network } = entry;
      const address = 'endpoint' in entry ? entry.endpoint : entry.baseUrl;
      const record = JSON.stringify(['provider', 'default', type, name, address, network]);
      return { ...entry, sealedApiKey: KEYS.seal(new Secret(keyOf(name)), record, 4) };
    };
    await mkdir(folder, { recursive: true });
    const store = fileIn(folder);
    await writeFile(store.path, JSON.stringify({ version: 2, providers: CLOUD_ENTRIES.map(sealed) }));
    expect(plain(await store.load())).toEqual(plain(PROVIDERS));
    await store.save(PROVIDERS);
    const written = JSON.parse(await readFile(store.path, 'utf8'));
    expect(written.version).toBe(3);
    expect(written.providers[0].sealedApiKey.version).toBe(4);
    expect(plain(await fileIn(folder).load())).toEqual(plain(PROVIDERS));
  });

  test('swapped between providers do not open, and the message names the provider and shows nothing', async () => {
    const store = fileIn(folder);
    await store.save(PROVIDERS);
    const file = JSON.parse(await readFile(store.path, 'utf8'));
    const [first, second] = file.providers;
    [first.sealedApiKey, second.sealedApiKey] = [second.sealedApiKey, first.sealedApiKey];
    await writeFile(store.path, JSON.stringify(file));
    const message = await fileIn(folder)
      .load()
      .then(() => 'it loaded', String);
    expect(message).toContain(`the key of the provider "${first.name}"`);
    expect(message).toContain('belongs to another record');
    expect(message).toContain('SWARMROUTER_MASTER_KEY');
  });

  test('do not open for another address than they were given for, nor after their provider moved in the file', async () => {
    const store = fileIn(folder);
    await store.save(PROVIDERS);
    const text = await readFile(store.path, 'utf8');
    await writeFile(store.path, text.replace('https://r.openai.azure.com', 'https://evil.example'));
    expect(
      await fileIn(folder)
        .load()
        .then(() => 'it loaded', String),
    ).toContain('belongs to another record');
    // Moved by whoever may: the key is sealed for the new address.
    await writeFile(store.path, text);
    await store.load();
    const moved = PROVIDERS.map((one) =>
      one.name === 'azure' ? { ...one, url: 'https://new.openai.azure.com' } : one,
    );
    await store.save(moved);
    expect(plain(await fileIn(folder).load())).toEqual(plain(moved));
  });

  test('need no master key where no provider has one', async () => {
    const keyless = PROVIDERS.map((one) => ({ ...one, apiKey: null }));
    await givenProviderFile(folder, masterKeyFile(folder)).save(keyless);
    expect(await readdir(folder)).toEqual(['overflow-providers.json']);
    expect(plain(await givenProviderFile(folder, masterKeyFile(folder)).load())).toEqual(plain(keyless));
    expect(await readdir(folder)).toEqual(['overflow-providers.json']);
  });

  test('that were sealed with the file’s master key open when SWARMROUTER_MASTER_KEY takes its place', async () => {
    await givenProviderFile(folder, masterKeyFile(folder)).save(PROVIDERS);
    const given = givenMasterKeys([ONE], folder);
    expect(plain(await givenProviderFile(folder, given).load())).toEqual(plain(PROVIDERS));
    await rm(join(folder, 'master-key'));
    expect(plain(await fileIn(folder).load())).toEqual(plain(PROVIDERS));
  });

  test('are useless without the master key', async () => {
    await fileIn(folder).save(PROVIDERS);
    const message = await givenProviderFile(folder, givenMasterKeys([TWO]))
      .load()
      .then(() => 'it loaded', String);
    expect(message).toContain('which is not here');
  });

  test('open with a new master key and the old one behind it, and from then on without the old one', async () => {
    await fileIn(folder).save(PROVIDERS);
    expect(plain(await givenProviderFile(folder, givenMasterKeys([TWO, ONE])).load())).toEqual(plain(PROVIDERS));
    expect(plain(await givenProviderFile(folder, givenMasterKeys([TWO])).load())).toEqual(plain(PROVIDERS));
  });

  test('are put under a new master key while the gateway runs, and the old one is forgotten', async () => {
    const store = givenProviderFile(folder, masterKeyFile(folder));
    await store.save(PROVIDERS);
    const before = await readFile(join(folder, 'master-key'), 'utf8');
    expect(await store.renewMasterKey?.()).toEqual({ sealed: PROVIDERS.length });
    const after = await readFile(join(folder, 'master-key'), 'utf8');
    expect([after.length, after === before]).toEqual([before.length, false]);
    expect(plain(await givenProviderFile(folder, masterKeyFile(folder)).load())).toEqual(plain(PROVIDERS));
  });

  test('survive a renewal that dies after the new master key was written', async () => {
    const store = givenProviderFile(folder, masterKeyFile(folder));
    await store.save(PROVIDERS);
    await masterKeyFile(folder).renew?.();
    const again = givenProviderFile(folder, masterKeyFile(folder));
    expect(plain(await again.load())).toEqual(plain(PROVIDERS));
    expect((await readFile(join(folder, 'master-key'), 'utf8')).trim().split('\n')).toHaveLength(1);
    expect(plain(await givenProviderFile(folder, masterKeyFile(folder)).load())).toEqual(plain(PROVIDERS));
  });
});

describe('S-04 the admin key file', () => {
  test('is made at the first start and read at the next', async () => {
    const first = await loadOrCreateAdminKey(folder);
    const second = await loadOrCreateAdminKey(folder);
    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.key.reveal()).toBe(first.key.reveal());
    expect(first.key.reveal()).toMatch(/^swr_admin_[0-9a-f]{48}$/);
    expect(first.path).toBe(join(folder, 'admin-key'));
  });

  test('differs on each machine', async () => {
    const keys = await Promise.all(['a', 'b', 'c'].map((name) => loadOrCreateAdminKey(join(parent, name))));
    expect(new Set(keys.map(({ key }) => key.reveal())).size).toBe(3);
  });

  test.skipIf(process.platform === 'win32')('is readable by its owner alone', async () => {
    const { path } = await loadOrCreateAdminKey(folder);
    expect([await permissions(path), await permissions(folder)]).toEqual(['600', '700']);
  });

  test('is one key when several processes start together', async () => {
    const program = `
      const { loadOrCreateAdminKey } = await import(${JSON.stringify(join(import.meta.dir, 'admin-key-file.ts'))});
      const { key, created } = await loadOrCreateAdminKey(${JSON.stringify(folder)});
      console.log(created + ' ' + key.reveal());`;
    const processes = [1, 2, 3, 4].map(() => Bun.spawn([process.execPath, '-e', program], { stdout: 'pipe' }));
    const lines = await Promise.all(processes.map((child) => new Response(child.stdout).text()));
    expect(lines.filter((line) => line.startsWith('true '))).toHaveLength(1);
    expect(new Set(lines.map((line) => line.trim().split(' ')[1])).size).toBe(1);
    expect(await readdir(folder)).toEqual(['admin-key']);
  });

  test('is one key when one process asks many times at once', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => loadOrCreateAdminKey(folder)));
    expect(all.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(all.map(({ key }) => key.reveal())).size).toBe(1);
  });

  test('that holds something else is refused without being overwritten', async () => {
    await writeFile(join(parent, 'admin-key'), 'hunter2\n');
    await expect(loadOrCreateAdminKey(parent)).rejects.toThrow('Delete the file to have a new key made');
    expect(await readFile(join(parent, 'admin-key'), 'utf8')).toBe('hunter2\n');
  });
});

describe('the file of what was learned', () => {
  const path = (): string => join(folder, 'learned.json');

  test('gives back what was saved in pieces, readable by its owner alone', async () => {
    const names = Array.from({ length: 5_000 }, (_, at) => `model-${at}-ö`);
    const pieces = ['[', ...names.map((name, at) => `${at === 0 ? '' : ','}${JSON.stringify(name)}`), ']'];
    await learnedFile(folder).save(pieces);
    expect(await learnedFile(folder).load()).toEqual(names);
    if (process.platform !== 'win32') expect(await permissions(path())).toBe('600');
  });

  test('lets other work go on while it is written', async () => {
    let turns = 0;
    let isDone = false;
    const turn = (): void => {
      turns++;
      if (!isDone) setImmediate(turn);
    };
    turn();
    const seen: number[] = [];
    function* pieces(): Generator<string> {
      for (let at = 0; at < 5; at++) {
        seen.push(turns);
        yield `${at === 0 ? '[' : ','}"${'x'.repeat(40_000)}"`;
      }
      yield ']';
    }
    await learnedFile(folder).save(pieces());
    isDone = true;
    expect(new Set(seen).size).toBe(5);
  });

  test('stays as it was when what is to be saved cannot be made', async () => {
    await learnedFile(folder).save(['{"old":1}']);
    function* broken(): Generator<string> {
      yield '{"new":';
      throw new Error('no more');
    }
    await expect(learnedFile(folder).save(broken())).rejects.toThrow('no more');
    expect(await learnedFile(folder).load()).toEqual({ old: 1 });
    expect(await readdir(folder)).toEqual(['learned.json']);
  });

  test('is not read when it is longer than any of ours', async () => {
    expect(await learnedFile(folder).load()).toBeNull();
    await learnedFile(folder).save(['{}']);
    await truncate(path(), MOST_LEARNED_BYTES + 1);
    await expect(learnedFile(folder).load()).rejects.toThrow('it has 16777217 bytes; at most 16777216 are read');
  });
});
