import { join } from 'node:path';
import type { GivenProvider, GivenProviderStore } from '../core/given-provider.ts';
import { Turns } from '../core/turns.ts';
import { parseProviders, providerRecord, serialiseProviders } from './given-provider-format.ts';
import { readPrivateFile, replacePrivateFile } from './private-file.ts';
import type { MasterKeys, SealedSecret } from './sealing/envelope.ts';
import type { MasterKeySource } from './sealing/master-key-file.ts';

/** What a renewal of the master key did. */
export interface Renewal {
  /** Provider keys that it opens now. */
  readonly sealed: number;
}

export interface GivenProviderFile extends GivenProviderStore {
  readonly path: string;
  /** Another master key; every provider key is put under it, while the gateway runs. Null: the operator gives the master keys. */
  readonly renewMasterKey: (() => Promise<Renewal>) | null;
}

interface Held {
  readonly providers: readonly GivenProvider[];
  readonly sealed: ReadonlyMap<string, SealedSecret>;
}

/**
 * Providers given at run time in `<dataDir>/overflow-providers.json` (it once held cloud providers alone), their API keys sealed, readable by its owner alone.
 * `load` rejects for a file that it cannot read in full and leaves it untouched: dropping a provider silently
 * would send requests elsewhere than the operator believes. A file of an earlier version, or one that was sealed with
 * an older master key, is sealed anew when it is read.
 */
export function givenProviderFile(
  dataDir: string,
  source: MasterKeySource,
  warn: (message: string) => void = () => undefined,
): GivenProviderFile {
  const path = join(dataDir, 'overflow-providers.json');
  const turns = new Turns();
  let held: Held = { providers: [], sealed: new Map() };

  const write = async (providers: readonly GivenProvider[], sealed: Held['sealed']): Promise<void> => {
    await replacePrivateFile(path, serialiseProviders(providers, sealed));
    held = { providers, sealed };
  };

  const load = async (): Promise<readonly GivenProvider[]> => {
    const text = await readPrivateFile(path);
    if (text === null) return [];
    const keys = isSealed(text) ? await source.load() : null;
    held = parsed(text, path, keys);
    const { providers, sealed } = held;
    const isCurrent = keys !== null && [...sealed.values()].every((one) => keys.isCurrent(one));
    if (keysOf(providers) > 0 && !isCurrent) {
      // They are known by now: what cannot be written now is written with the next change, or at the next start.
      const sealing = source.load().then((newest) => sealAnew(newest, source.forgetOld));
      await sealing.catch((error: unknown) => {
        warn(`the keys in ${path} could not be sealed anew: ${error instanceof Error ? error.message : String(error)}`);
      });
    }
    return providers;
  };

  const sealAnew = async (keys: MasterKeys, done: () => Promise<void>): Promise<void> => {
    const { providers, sealed } = held;
    await write(providers, sealAll(keys, providers, held));
    // Not before: until then the old ones are needed.
    if (sealed.size > 0) await done();
  };

  return {
    path,
    load: () => turns.run(load),
    save: (providers) =>
      turns.run(async () => {
        if (keysOf(providers) === 0) return write(providers, new Map());
        return write(providers, sealAll(await source.load(), providers, held));
      }),
    renewMasterKey:
      source.renew === null
        ? null
        : () =>
            turns.run(async () => {
              const keys = await source.renew?.();
              const sealed = keysOf(held.providers);
              if (keys !== undefined && sealed > 0) await sealAnew(keys, source.forgetOld);
              else await source.forgetOld();
              return { sealed };
            }),
  };
}

const keysOf = (providers: readonly GivenProvider[]): number =>
  providers.filter(({ apiKey }) => apiKey !== null).length;

/** What is there already stays sealed as it is, under the newest master key; what is new, or was changed, is sealed. */
function sealAll(
  keys: MasterKeys,
  providers: readonly GivenProvider[],
  before: Held,
): ReadonlyMap<string, SealedSecret> {
  return new Map(
    providers.flatMap((provider) => {
      const { name, apiKey } = provider;
      if (apiKey === null) return [];
      const record = providerRecord(provider);
      const old = before.sealed.get(name);
      const known = before.providers.find((other) => other.name === name);
      const isSame = known?.apiKey?.reveal() === apiKey.reveal() && providerRecord(known) === record;
      if (old === undefined || !isSame) {
        return [[name, keys.seal(apiKey, record, (old?.version ?? 0) + 1)]];
      }
      return [[name, keys.isCurrent(old) ? old : keys.rewrap(old, record)]];
    }),
  );
}

/** Whether it takes a master key to read it. What cannot be read is for the parser to say. */
function isSealed(text: string): boolean {
  return /"sealedApiKey":\s*\{/.test(text);
}

function parsed(text: string, path: string, keys: MasterKeys | null): Held {
  try {
    return parseProviders(text, (sealed, record) => {
      if (keys === null) throw new Error('there is no master key');
      return keys.open(sealed, record);
    });
  } catch (error) {
    throw new Error(
      `The overflow provider file ${path} is damaged: ${error instanceof Error ? error.message : String(error)}. ` +
        'Nothing was changed. Repair the file, restore it from a backup together with the master key ' +
        '(SWARMROUTER_MASTER_KEY, or the file master-key beside it), or move it away to start without the ' +
        'providers that were added through the admin API.',
    );
  }
}
