import { readFileSync, writeFileSync } from 'node:fs';
import { addTargets } from '../config/add-targets.ts';
import type { LoadInput, LoadResult } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { yamlPath } from '../config/yaml-path.ts';
import { RESERVED_PROVIDERS } from '../core/target.ts';
import {
  addressesOf,
  type Field,
  type FindKnown,
  type FoundServer,
  knownServers,
  proposalsFor,
  readField,
  scan,
  yamlOf,
} from '../discovery/index.ts';
import { systemClock } from '../system-clock.ts';
import { type Discovery, discoveryJson, discoveryText, type Sighting } from './discovery-text.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { problemsText } from './print-problems.ts';
import type { Terminal } from './terminal.ts';

export interface DiscoverFlags {
  readonly subnet?: readonly string[];
  readonly host?: readonly string[];
  readonly ports?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
  readonly write?: boolean;
}

/** Looks for model servers, and says (or writes) what makes them targets. Only `--write` changes anything. */
export async function discover(terminal: Terminal, flags: DiscoverFlags): Promise<number> {
  const asked = readField({ subnets: flags.subnet ?? null, hosts: flags.host ?? null, ports: flags.ports ?? null });
  if (!asked.ok) return wrongUse(terminal, problemsText(asked.problems, 'the command line'));
  const unknown = await unknownHosts(flags.host ?? []);
  if (unknown !== null) return wrongUse(terminal, unknown);
  const settings = loadSettings(terminal, flags);
  // A file with mistakes is not added to: nobody could say then whether the result is right.
  if (!settings.ok && flags.write) return wrongUse(terminal, problemsText(settings.problems));

  const startedAtMs = systemClock.nowMs();
  const servers = await scanAndTell(asked.field, terminal);
  const seconds = (systemClock.nowMs() - startedAtMs) / 1_000;
  const sightings = await judge(servers, settings);
  const proposals = sightings.flatMap(({ proposal }) => (proposal === null ? [] : [proposal]));
  const fragment = proposals.length === 0 ? null : yamlOf(proposals);
  const discovery: Discovery = { field: asked.field, seconds, sightings, fragment, written: null };
  if (!flags.write) return show(discovery, terminal, flags);

  const path = yamlPath(settingsOf(settings), terminal.directory);
  const fault = fragment === null ? null : write(path, fragment, terminal, flags);
  if (fault !== null) {
    terminal.error(fault);
    return EXIT_FAILED;
  }
  return show({ ...discovery, written: { path, added: proposals.length } }, terminal, flags);
}

function show(discovery: Discovery, terminal: Terminal, flags: DiscoverFlags): number {
  const text = flags.json ? JSON.stringify(discoveryJson(discovery), null, 2) : discoveryText(discovery, terminal);
  terminal.out(text);
  return EXIT_OK;
}

function wrongUse(terminal: Terminal, text: string): number {
  terminal.error(text);
  return EXIT_WRONG_USE;
}

/** What is wrong with the hosts that no name service knows; null: nothing. Asked before anything is looked for. */
async function unknownHosts(flags: readonly string[]): Promise<string | null> {
  const hosts = flags.flatMap((flag) => flag.split(',').map((host) => host.trim().replace(/^\[(.*)\]$/, '$1')));
  const addresses = await Promise.all(hosts.map((host) => addressesOf(host, systemClock)));
  const problems = hosts
    .filter((_, index) => addresses[index]?.length === 0)
    .map((host) => ({
      where: 'the command line',
      name: '--host',
      seen: host,
      message: 'no name service knows it',
      allowed: 'a host name or IP address, without a port',
      fix: 'correct the name, or give the address',
    }));
  return problems.length === 0 ? null : problemsText(problems, 'the command line');
}

/** As the gateway would read them from here, with the file taken for empty when it is not there yet. */
function loadSettings(terminal: Terminal, flags: DiscoverFlags, change: Partial<LoadInput> = {}): LoadResult {
  return loadConfig({
    flags: flags.config === undefined ? {} : { config: flags.config },
    environment: terminal.environment,
    directory: terminal.directory,
    readFile: (path) => readText(path) ?? (isYaml(path) ? '' : null),
    ...change,
  });
}

/** Of what is read, only the YAML file may be missing: it can be made. */
const isYaml = (path: string): boolean => /\.ya?ml$/i.test(path);

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return null;
    throw error;
  }
}

const settingsOf = (result: LoadResult) => (result.ok ? result.config.settings : result.settings);

async function scanAndTell(field: Field, terminal: Terminal): Promise<FoundServer[]> {
  let shownAtMs = 0;
  const servers = await scan(field.places, {
    clock: systemClock,
    onProgress: ({ done, of, found }) => {
      const nowMs = systemClock.nowMs();
      // A terminal is slower than a scan of thousands of places that refuse at once.
      if (nowMs - shownAtMs < 100 && done < of) return;
      shownAtMs = nowMs;
      terminal.progress(`Looked at ${done} of ${of} places, found ${found}`);
    },
  });
  terminal.progress(null);
  return servers;
}

/** Which of them are targets already, and what would make the others so. */
async function judge(servers: readonly FoundServer[], settings: LoadResult): Promise<Sighting[]> {
  const targets = settings.ok ? settings.config.targets : [];
  const configured = targets.filter((target) => !target.optional).map(({ id, baseUrl }) => ({ id, url: baseUrl }));
  const find: FindKnown = await knownServers(configured, systemClock);
  const ids = servers.map(find);
  const fresh = servers.filter((_, index) => ids[index] === null);
  const proposals = proposalsFor(fresh, [...targets.map(({ id }) => id), ...RESERVED_PROVIDERS]);
  return servers.map((server, index) => ({
    server,
    configuredAs: ids[index] ?? null,
    proposal: proposals[fresh.indexOf(server)] ?? null,
  }));
}

/** Null: it is written; else why not. */
function write(path: string, fragment: string, terminal: Terminal, flags: DiscoverFlags): string | null {
  try {
    const text = addTargets(readText(path) ?? '', fragment);
    const result = loadSettings(terminal, flags, { readFile: (read) => (read === path ? text : readText(read)) });
    if (!result.ok) return `${problemsText(result.problems)}\n\n${path} was left as it is.`;
    writeFileSync(path, text);
    return null;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `swarmrouter: ${path} cannot be written (${reason}). Make it writable, or put the lines of "swarmrouter discover" in by hand.`;
  }
}
