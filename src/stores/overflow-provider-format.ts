import type { OverflowProvider } from '../core/overflow-provider.ts';
import { Secret } from '../core/secret.ts';
import type { SealedSecret } from './sealing/envelope.ts';

/** Raised whenever the meaning of a field changes; a newer file than this program knows is refused, not guessed at. */
const FORMAT_VERSION = 2;
/** Of a file whose keys are not sealed: read, and never written any more. */
const PLAIN_VERSION = 1;

type Fields = Readonly<Record<string, unknown>>;

/** All of a provider that says where its key goes. */
type Sealable =
  | Pick<Extract<OverflowProvider, { type: 'azure' }>, 'type' | 'name' | 'network' | 'endpoint'>
  | Pick<Exclude<OverflowProvider, { type: 'azure' }>, 'type' | 'name' | 'network' | 'baseUrl'>;

/**
 * What a provider's key is sealed as: it does not open as another provider's, nor for another address, so that whoever
 * can write to the file cannot have it sent elsewhere.
 */
export function providerRecord(provider: Sealable): string {
  const { type, name, network } = provider;
  return JSON.stringify(['provider', 'default', type, name, addressOf(provider), network]);
}

function addressOf(provider: Sealable): string | null {
  return provider.type === 'azure' ? provider.endpoint : provider.baseUrl;
}

export interface ProviderFile {
  readonly providers: readonly OverflowProvider[];
  /** By name; empty: the keys were not sealed. */
  readonly sealed: ReadonlyMap<string, SealedSecret>;
}

/** The file's text. @param sealed the key of each provider, by name */
export function serialiseProviders(
  providers: readonly OverflowProvider[],
  sealed: ReadonlyMap<string, SealedSecret>,
): string {
  const entries = providers.map(({ apiKey: _, ...provider }) => ({
    ...provider,
    sealedApiKey: sealed.get(provider.name),
  }));
  return `${JSON.stringify({ version: FORMAT_VERSION, providers: entries }, null, 2)}\n`;
}

/**
 * @param open gives what a provider's key is
 * @throws Error saying which entry and field is wrong; it never quotes a value, which might be a key.
 */
export function parseProviders(text: string, open: (sealed: SealedSecret, record: string) => Secret): ProviderFile {
  const file = asFields(parseJson(text), 'the file');
  if (file['version'] !== FORMAT_VERSION && file['version'] !== PLAIN_VERSION) {
    throw new Error(
      typeof file['version'] === 'number' && file['version'] > FORMAT_VERSION
        ? `format version ${file['version']} is newer than this program knows (${FORMAT_VERSION})`
        : `"version" should be ${FORMAT_VERSION} or ${PLAIN_VERSION}`,
    );
  }
  if (!Array.isArray(file['providers'])) throw new Error('"providers" should be a list');
  const sealed = new Map<string, SealedSecret>();
  const providers = file['providers'].map((value: unknown, at): OverflowProvider => {
    const where = `providers[${at}]`;
    const entry = asFields(value, where);
    const provider = parseProvider(entry, where);
    if (file['version'] === PLAIN_VERSION) {
      return { ...provider, apiKey: new Secret(textOf(entry, 'apiKey', where)) };
    }
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
function parseProvider(entry: Fields, where: string): OverflowProvider {
  const name = textOf(entry, 'name', where);
  const apiKey = new Secret('');
  switch (entry['type']) {
    case 'openrouter':
      return {
        type: 'openrouter',
        name,
        apiKey,
        network: networkOf(entry, where),
        baseUrl: optionalText(entry, 'baseUrl', where),
        defaultModel: optionalText(entry, 'defaultModel', where),
      };
    case 'azure':
      return {
        type: 'azure',
        name,
        apiKey,
        network: networkOf(entry, where),
        endpoint: textOf(entry, 'endpoint', where),
        apiVersion: optionalText(entry, 'apiVersion', where),
        deployments: textMap(entry, 'deployments', where),
        defaultDeployment: optionalText(entry, 'defaultDeployment', where),
      };
    case 'openai-compatible':
      return {
        type: 'openai-compatible',
        name,
        apiKey,
        baseUrl: textOf(entry, 'baseUrl', where),
        defaultModel: optionalText(entry, 'defaultModel', where),
        network: networkOf(entry, where),
      };
    default:
      throw new Error(`${where}.type should be openrouter, azure or openai-compatible`);
  }
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

function textMap(entry: Fields, field: string, where: string): Record<string, string> {
  const map = asFields(entry[field], `${where}.${field}`);
  return Object.fromEntries(Object.keys(map).map((key) => [key, textOf(map, key, `${where}.${field}`)]));
}

function networkOf(entry: Fields, where: string): 'lan' | 'public' {
  const value = entry['network'];
  if (value === 'lan' || value === 'public') return value;
  throw new Error(`${where}.network should be lan or public`);
}
