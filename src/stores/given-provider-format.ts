import { type GivenClocks, type GivenProvider, NO_CLOCKS, NOTHING_MORE } from '../core/given-provider.ts';
import { Secret } from '../core/secret.ts';
import { ADAPTER_KINDS, type AdapterKind, type Place } from '../core/target.ts';
import type { SealedSecret } from './sealing/envelope.ts';

/** Raised whenever the meaning of a field changes; a newer file than this program knows is refused, not guessed at. */
const FORMAT_VERSION = 3;
/** Of a file that holds cloud providers alone: read, and never written any more. */
const CLOUD_VERSION = 2;
/** Of such a file whose keys are not sealed, likewise. */
const PLAIN_VERSION = 1;
const VERSIONS: readonly unknown[] = [FORMAT_VERSION, CLOUD_VERSION, PLAIN_VERSION];

type Fields = Readonly<Record<string, unknown>>;

/** Kinds that the older versions knew, by what they called them. Keys are still sealed under these names. */
const TYPES: Readonly<Partial<Record<AdapterKind, string>>> = { 'azure-openai': 'azure' };

/**
 * What a provider's key is sealed as: it does not open as another provider's, nor for another address, so that whoever
 * can write to the file cannot have it sent elsewhere.
 */
export function providerRecord({ kind, name, network, url }: Omit<GivenProvider, 'apiKey'>): string {
  return JSON.stringify(['provider', 'default', TYPES[kind] ?? kind, name, url, network]);
}

export interface ProviderFile {
  readonly providers: readonly GivenProvider[];
  /** By name; of an older version none: the keys were not sealed. */
  readonly sealed: ReadonlyMap<string, SealedSecret>;
}

/** The file's text. @param sealed the key of each provider that has one, by name */
export function serialiseProviders(
  providers: readonly GivenProvider[],
  sealed: ReadonlyMap<string, SealedSecret>,
): string {
  const entries = providers.map(({ apiKey: _, ...provider }) => ({
    ...provider,
    sealedApiKey: sealed.get(provider.name) ?? null,
  }));
  return `${JSON.stringify({ version: FORMAT_VERSION, providers: entries }, null, 2)}\n`;
}

/**
 * @param open gives what a provider's key is
 * @throws Error saying which entry and field is wrong; it never quotes a value, which might be a key.
 */
export function parseProviders(text: string, open: (sealed: SealedSecret, record: string) => Secret): ProviderFile {
  const file = asFields(parseJson(text), 'the file');
  const { version } = file;
  if (!VERSIONS.includes(version)) {
    throw new Error(
      typeof version === 'number' && version > FORMAT_VERSION
        ? `format version ${version} is newer than this program knows (${FORMAT_VERSION})`
        : `"version" should be ${VERSIONS.join(' or ')}`,
    );
  }
  if (!Array.isArray(file['providers'])) throw new Error('"providers" should be a list');
  const sealed = new Map<string, SealedSecret>();
  const providers = file['providers'].map((value: unknown, at): GivenProvider => {
    const where = `providers[${at}]`;
    const entry = asFields(value, where);
    const provider = version === FORMAT_VERSION ? parseProvider(entry, where) : parseCloudProvider(entry, where);
    if (version === PLAIN_VERSION) {
      return { ...provider, apiKey: new Secret(textOf(entry, 'apiKey', where)) };
    }
    if (version === FORMAT_VERSION && entry['sealedApiKey'] === null) return { ...provider, apiKey: null };
    const found = sealedOf(entry, where);
    sealed.set(provider.name, found);
    try {
      return { ...provider, apiKey: open(found, providerRecord(provider)) };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`the key of the provider "${provider.name}" (${where}.sealedApiKey) does not open: ${why}`);
    }
  });
  const names = new Set<string>();
  for (const { name } of providers) {
    if (names.has(name)) throw new Error(`two providers are named "${name}"`);
    names.add(name);
  }
  return { providers, sealed };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text around the fault, which may be a key.
    throw new Error('it is not JSON');
  }
}

function sealedOf(entry: Fields, where: string): SealedSecret {
  const at = `${where}.sealedApiKey`;
  const fields = asFields(entry['sealedApiKey'], at);
  const { version } = fields;
  if (typeof version !== 'number' || !Number.isSafeInteger(version)) {
    throw new Error(`${at}.version should be a whole number`);
  }
  const text = (field: string): string => textOf(fields, field, at);
  return { masterKeyId: text('masterKeyId'), version, dataKey: text('dataKey'), value: text('value') };
}

/** Without its key, which is another matter. */
type Keyless = Omit<GivenProvider, 'apiKey'>;

function parseProvider(entry: Fields, where: string): Keyless {
  const kind = entry['kind'];
  if (!isKind(kind)) throw new Error(`${where}.kind should be one of ${[...ADAPTER_KINDS, 'auto'].join(', ')}`);
  const [url, place] = [optionalText(entry, 'url', where), entry['place']];
  if (url === null && kind !== 'openrouter') throw new Error(`${where}.url should be an address`);
  if (place !== null && place !== 'local' && place !== 'cloud')
    throw new Error(`${where}.place should be local or cloud`);
  return {
    ...{
      name: textOf(entry, 'name', where),
      kind,
      url,
      network: networkOf(entry, where),
      place: place as Place | null,
    },
    maxConcurrent: optionalCount(entry, 'maxConcurrent', where, 1),
    defaultModel: optionalText(entry, 'defaultModel', where),
    deployments: textMap(entry, 'deployments', where),
    apiVersion: optionalText(entry, 'apiVersion', where),
    assemble: optionalFlag(entry, 'assemble', where),
    continuesAnswers: optionalFlag(entry, 'continuesAnswers', where),
    onDisconnect: disconnectOf(entry, where),
    clocks: parseClocks(asFields(entry['clocks'], `${where}.clocks`), `${where}.clocks`),
    revision: optionalCount(entry, 'revision', where, 1) ?? 1,
  };
}

function disconnectOf(entry: Fields, where: string): Keyless['onDisconnect'] {
  // A file of an earlier version says nothing of it.
  const value = entry['onDisconnect'] ?? null;
  if (value === null || value === 'cancel' || value === 'drain') return value;
  throw new Error(`${where}.onDisconnect should be cancel or drain`);
}

function parseClocks(entry: Fields, where: string): GivenClocks {
  const names = Object.keys(NO_CLOCKS) as readonly (keyof GivenClocks)[];
  // A request may well wait 0 ms for a slot.
  const least = (name: string): number => (name === 'queueMs' ? 0 : 1);
  const clocks = names.map((name) => [name, optionalCount(entry, name, where, least(name))]);
  return Object.fromEntries(clocks) as GivenClocks;
}

/** As the versions before wrote it. */
function parseCloudProvider(entry: Fields, where: string): Keyless {
  const given = { ...NOTHING_MORE, name: textOf(entry, 'name', where), network: networkOf(entry, where), revision: 1 };
  switch (entry['type']) {
    case 'openrouter':
      return {
        ...{ ...given, kind: 'openrouter', url: optionalText(entry, 'baseUrl', where) },
        defaultModel: optionalText(entry, 'defaultModel', where),
      };
    case 'azure':
      return {
        ...{ ...given, kind: 'azure-openai', url: textOf(entry, 'endpoint', where) },
        apiVersion: optionalText(entry, 'apiVersion', where),
        deployments: textMap(entry, 'deployments', where),
        defaultModel: optionalText(entry, 'defaultDeployment', where),
      };
    case 'openai-compatible':
      return {
        ...{ ...given, kind: 'openai-compatible', url: textOf(entry, 'baseUrl', where) },
        defaultModel: optionalText(entry, 'defaultModel', where),
      };
    default:
      throw new Error(`${where}.type should be openrouter, azure or openai-compatible`);
  }
}

function isKind(value: unknown): value is AdapterKind {
  return value === 'auto' || (ADAPTER_KINDS as readonly unknown[]).includes(value);
}

function asFields(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Error(`${where} should be a JSON object`);
}

function textOf(entry: Fields, field: string, where: string): string {
  const value = entry[field];
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`${where}.${field} should be a text that is not empty`);
}

function optionalText(entry: Fields, field: string, where: string): string | null {
  return entry[field] === null || entry[field] === undefined ? null : textOf(entry, field, where);
}

function optionalCount(entry: Fields, field: string, where: string, least: number): number | null {
  const value = entry[field];
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(`${where}.${field} should be a whole number of at least ${least}`);
}

function optionalFlag(entry: Fields, field: string, where: string): boolean | null {
  const value = entry[field] ?? null;
  if (value === null || typeof value === 'boolean') return value;
  throw new Error(`${where}.${field} should be true or false`);
}

function textMap(entry: Fields, field: string, where: string): Record<string, string> {
  const map = asFields(entry[field], `${where}.${field}`);
  return Object.fromEntries(Object.keys(map).map((key) => [key, textOf(map, key, `${where}.${field}`)]));
}

function networkOf(entry: Fields, where: string): 'lan' | 'public' {
  const value = entry['network'];
  if (value === 'lan' || value === 'public') return value;
  throw new Error(`${where}.network should be lan or public`);
}
