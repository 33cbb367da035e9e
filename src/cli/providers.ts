import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import pico from 'picocolors';
import { resolveSecret } from '../config/secret-reference.ts';
import { type AdapterKind, PROVIDER_NAMES } from '../core/target.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { listOf, show } from './cells.ts';
import { EXIT_WRONG_USE } from './exit-codes.ts';
import { allOf } from './pages.ts';
import { NONE, type ProviderFlags, providerFieldsOf } from './provider-flags.ts';
import { fail, type JsonFlag, noteLines, print, sourceText } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const PATH = '/admin/providers';
/** These are of no use without a key, so it is asked for. */
const NEEDS_KEY: ReadonlySet<string> = new Set(['openrouter', 'azure', 'azure-openai', 'openai-compatible']);

export async function listProviders(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, PATH, 'providers'), terminal, flags, (body) =>
    providersText(listOf(fieldOf(body, 'providers')), terminal),
  );
}

export async function showProvider(client: AdminClient, terminal: Terminal, name: string, flags: JsonFlag) {
  return print(await client.request('GET', pathOf(name)), terminal, flags, providerText);
}

/** Adds one, or replaces that of its name. */
export async function addProvider(client: AdminClient, terminal: Terminal, kind: string, flags: ProviderFlags) {
  const fields = await requestBody(terminal, flags, NEEDS_KEY.has(kind));
  if (typeof fields === 'string') return wrongUse(terminal, fields);
  const name = flags.name ?? PROVIDER_NAMES[kind as AdapterKind] ?? (kind === 'azure' ? 'azure' : undefined);
  const body = { name, kind, ...fields };
  // Without a name the gateway says what is missing, and whatever else is.
  const adding = name === undefined ? client.request('POST', PATH, body) : client.request('PUT', pathOf(name), body);
  return print(await adding, terminal, flags, writtenText);
}

export async function updateProvider(client: AdminClient, terminal: Terminal, name: string, flags: ProviderFlags) {
  const fields = await requestBody(terminal, flags, false);
  if (typeof fields === 'string') return wrongUse(terminal, fields);
  if (Object.keys(fields).length === 0) return wrongUse(terminal, 'Nothing to change was given. See --help.');
  const before = await client.request('GET', pathOf(name));
  if (!before.ok) return fail(terminal, before);
  const unchanged = { 'if-match': `"${show(fieldOf(before.body, 'revision'))}"` };
  const isGiven = fieldOf(before.body, 'changeable') === true;
  // Of one from elsewhere the gateway says where it is changed.
  const reply = await client.request('PATCH', pathOf(name), fields, isGiven ? unchanged : {});
  return print(reply, terminal, flags, writtenText);
}

export async function removeProvider(client: AdminClient, terminal: Terminal, name: string, flags: JsonFlag) {
  const reply = await client.request('DELETE', pathOf(name));
  return print(reply, terminal, flags, (body) => show(fieldOf(body, 'message')));
}

const pathOf = (name: string): string => `${PATH}/${encodeURIComponent(name)}`;

function wrongUse(terminal: Terminal, problem: string): number {
  terminal.error(`swarmrouter: ${problem}`);
  return EXIT_WRONG_USE;
}

/** The body for the admin API, or what is wrong with the flags. */
async function requestBody(
  terminal: Terminal,
  flags: ProviderFlags,
  asksForKey: boolean,
): Promise<Readonly<Record<string, unknown>> | string> {
  const fields = providerFieldsOf(flags);
  if (typeof fields === 'string') return fields;
  if (flags.apiKey === NONE) return { ...fields, api_key: null };
  if (flags.apiKey === undefined && !asksForKey) return fields;
  const key = await readKey(terminal, flags.apiKey);
  return key.ok ? { ...fields, api_key: key.text } : key.reason;
}

async function readKey(terminal: Terminal, written: string | undefined) {
  if (written === undefined || written === '-') {
    const typed = (await terminal.readSecret('API key: '))?.trim();
    if (typed) return { ok: true, text: typed } as const;
    return { ok: false, reason: 'no API key was given. Type it, pipe it in, or give --api-key env:NAME' } as const;
  }
  const resolved = resolveSecret(written, {
    variable: (name) => terminal.environment[name] || null,
    readFile: (path) => readFileSync(resolve(terminal.directory, path), 'utf8'),
  });
  return resolved.ok ? resolved : ({ ok: false, reason: `--api-key: ${resolved.reason}` } as const);
}

function providersText(providers: readonly unknown[], terminal: Terminal): string {
  const add = 'Add one: swarmrouter providers add lm-studio --base-url http://192.168.1.20:1234';
  if (providers.length === 0) return `There is no target. ${add}`;
  const { bold, dim } = pico.createColors(terminal.colours);
  const rows = providers.map((provider) => {
    const cells = [
      ...['name', 'kind', 'place'].map((field) => show(fieldOf(provider, field))),
      ...[show(fieldOf(fieldOf(provider, 'health'), 'status')), sourceText(provider)],
      ...['key', 'url'].map((field) => show(fieldOf(provider, field))),
    ];
    return fieldOf(provider, 'changeable') === true ? cells : cells.map(dim);
  });
  const hint = providers.some((provider) => fieldOf(provider, 'changeable') === true)
    ? []
    : ['', `None of them was added at run time. ${add}`];
  return [table([['NAME', 'KIND', 'PLACE', 'STATUS', 'FROM', 'KEY', 'URL'].map(bold), ...rows]), ...hint].join('\n');
}

function providerText(provider: unknown): string {
  const health = fieldOf(provider, 'health');
  const reason = fieldOf(health, 'reason');
  const plain = ['name', 'kind', 'found_kind', 'place', 'url', 'network', 'key', 'max_concurrent', 'default_model'];
  const timeouts = Object.entries((fieldOf(provider, 'timeouts') ?? {}) as Record<string, unknown>);
  return table([
    ...plain.map((field) => [field.replaceAll('_', ' '), show(fieldOf(provider, field))]),
    ['deployments', deploymentsText(fieldOf(provider, 'deployments'))],
    ...['api_version', 'assemble', 'continues_answers'].map((field) => [
      field.replaceAll('_', ' '),
      yesOrNo(fieldOf(provider, field)),
    ]),
    ['on disconnect', show(fieldOf(provider, 'on_disconnect'))],
    ...timeouts.map(([field, value]) => [field.replaceAll('_', ' '), typeof value === 'number' ? `${value} s` : '-']),
    ['from', sourceText(provider)],
    ['status', `${show(fieldOf(health, 'status'))}${typeof reason === 'string' ? ` (${show(reason)})` : ''}`],
    ['models', show(fieldOf(health, 'models'))],
    ['running', `${show(fieldOf(health, 'in_flight'))} of ${show(fieldOf(health, 'slots'))}`],
  ]);
}

const yesOrNo = (value: unknown): string => (typeof value === 'boolean' ? (value ? 'yes' : 'no') : show(value));

function deploymentsText(deployments: unknown): string {
  const pairs = Object.entries((deployments ?? {}) as Record<string, unknown>);
  return pairs.map(([model, deployment]) => `${show(model)}=${show(deployment)}`).join(', ') || '-';
}

function writtenText(body: unknown): string {
  const provider = fieldOf(body, 'provider');
  const verified = fieldOf(body, 'verified') === true ? ', and a free call to it succeeded' : '';
  return [`${show(fieldOf(provider, 'name'))} is in force for the next request${verified}.`, ...noteLines(body)].join(
    '\n',
  );
}
