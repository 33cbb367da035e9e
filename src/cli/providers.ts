import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import pico from 'picocolors';
import { resolveSecret } from '../config/secret-reference.ts';
import { mapping } from '../config/setting-kinds.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const PATH = '/admin/overflow_provider';

export const PROVIDER_TYPES = ['openrouter', 'azure', 'openai-compatible'] as const;

/** The flags of `providers add`. The gateway judges which fit which type, and says what is wrong. */
export interface AddFlags {
  readonly name?: string;
  readonly apiKey?: string;
  readonly baseUrl?: string;
  readonly endpoint?: string;
  readonly apiVersion?: string;
  readonly deployments?: string;
  readonly defaultDeployment?: string;
  readonly defaultModel?: string;
  readonly network?: string;
  readonly verify?: boolean;
}

export async function listProviders(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('GET', PATH);
  if (!reply.ok) return failed(terminal, reply.message);
  if (asJson) terminal.out(JSON.stringify(reply.body, null, 2));
  else terminal.out(providersText(fieldOf(reply.body, 'providers'), terminal));
  return EXIT_OK;
}

function providersText(providers: unknown, terminal: Terminal): string {
  if (!Array.isArray(providers) || providers.length === 0) {
    return 'No provider was added at run time. Add one: swarmrouter providers add openrouter';
  }
  const { bold } = pico.createColors(terminal.colours);
  const rows = providers.map((provider: unknown) => [
    text(fieldOf(provider, 'name')),
    text(fieldOf(provider, 'type')),
    text(fieldOf(provider, 'key')),
    text(fieldOf(provider, 'endpoint') ?? fieldOf(provider, 'base_url')),
  ]);
  return table([['NAME', 'TYPE', 'KEY', 'URL'].map(bold), ...rows]);
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '-');

export async function addProvider(
  client: AdminClient,
  terminal: Terminal,
  type: string,
  flags: AddFlags,
): Promise<number> {
  const body = await requestBody(terminal, type, flags);
  if (typeof body === 'string') {
    terminal.error(`swarmrouter: ${body}`);
    return EXIT_WRONG_USE;
  }
  const reply = await client.request('POST', PATH, body);
  if (!reply.ok) return failed(terminal, reply.message);
  const target = text(fieldOf(reply.body, 'target'));
  const verified = fieldOf(reply.body, 'verified') === true ? ', and a free call to it succeeded' : '';
  terminal.out(`${target} is in force for the next request${verified}.`);
  const warnings = fieldOf(reply.body, 'warnings');
  for (const warning of Array.isArray(warnings) ? warnings : []) terminal.out(`Note: ${text(warning)}`);
  return EXIT_OK;
}

/** The body for the admin API, or what is wrong with the flags. */
async function requestBody(
  terminal: Terminal,
  type: string,
  flags: AddFlags,
): Promise<Record<string, unknown> | string> {
  const deployments = flags.deployments === undefined ? null : mapping('').parse(flags.deployments);
  if (deployments !== null && !deployments.ok) {
    return `--deployments ${JSON.stringify(flags.deployments)}: ${deployments.reason}. Write model=deployment,…`;
  }
  const key = await readKey(terminal, flags.apiKey);
  if (!key.ok) return key.reason;
  const body = {
    type,
    name: flags.name,
    api_key: key.text,
    base_url: flags.baseUrl,
    endpoint: flags.endpoint,
    api_version: flags.apiVersion,
    deployments: deployments === null ? undefined : Object.fromEntries(deployments.value),
    default_deployment: flags.defaultDeployment,
    default_model: flags.defaultModel,
    network: flags.network,
    verify: flags.verify,
  };
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
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

export async function removeProvider(client: AdminClient, terminal: Terminal, name: string): Promise<number> {
  const reply = await client.request('DELETE', `${PATH}/${encodeURIComponent(name)}`);
  if (!reply.ok) return failed(terminal, reply.message);
  const message = fieldOf(reply.body, 'message');
  terminal.out(typeof message === 'string' ? message : `${name} is deleted.`);
  return EXIT_OK;
}

function failed(terminal: Terminal, message: string): number {
  terminal.error(`swarmrouter: ${message}`);
  return EXIT_FAILED;
}
