import type { OverflowProvider } from '../core/overflow-provider.ts';
import { Secret } from '../core/secret.ts';

/** Raised whenever the meaning of a field changes; a newer file than this program knows is refused, not guessed at. */
const FORMAT_VERSION = 1;

type Fields = Readonly<Record<string, unknown>>;

/** The file's text. The only place where the keys of overflow providers leave their `Secret`. */
export function serialiseProviders(providers: readonly OverflowProvider[]): string {
  const plain = providers.map(({ apiKey, ...provider }) => ({ ...provider, apiKey: apiKey.reveal() }));
  return `${JSON.stringify({ version: FORMAT_VERSION, providers: plain }, null, 2)}\n`;
}

/** @throws Error saying which entry and field is wrong; it never quotes a value, which might be a key. */
export function parseProviders(text: string): OverflowProvider[] {
  const file = asFields(parseJson(text), 'the file');
  if (file['version'] !== FORMAT_VERSION) {
    throw new Error(
      typeof file['version'] === 'number' && file['version'] > FORMAT_VERSION
        ? `format version ${file['version']} is newer than this program knows (${FORMAT_VERSION})`
        : `"version" should be ${FORMAT_VERSION}`,
    );
  }
  if (!Array.isArray(file['providers'])) throw new Error('"providers" should be a list');
  const providers = file['providers'].map((entry: unknown, at) => parseProvider(entry, `providers[${at}]`));
  const names = new Set<string>();
  for (const { name } of providers) {
    if (names.has(name)) throw new Error(`two providers are named "${name}"`);
    names.add(name);
  }
  return providers;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text around the fault, which may be a key.
    throw new Error('it is not JSON');
  }
}

function parseProvider(value: unknown, where: string): OverflowProvider {
  const entry = asFields(value, where);
  const name = textOf(entry, 'name', where);
  const apiKey = new Secret(textOf(entry, 'apiKey', where));
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
