import pico from 'picocolors';
import { counted } from '../core/counted.ts';
import type { ModelInfo } from '../core/target.ts';
import type { Field, FoundServer, Proposal } from '../discovery/index.ts';
import { show } from './cells.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

/** A found server beside the configuration. */
export interface Sighting {
  readonly server: FoundServer;
  /** The id of the target that it is; null: it is none yet. */
  readonly configuredAs: string | null;
  /** What would make it one; null: it is one. */
  readonly proposal: Proposal | null;
}

export interface Discovery {
  readonly field: Field;
  readonly seconds: number;
  readonly sightings: readonly Sighting[];
  /** YAML; null: there is nothing to add. */
  readonly fragment: string | null;
  /** null: nobody asked for it. */
  readonly written: { readonly path: string; readonly added: number } | null;
}

const NAMES_SHOWN = 3;

export function discoveryText(discovery: Discovery, terminal: Pick<Terminal, 'colours'>): string {
  const { sightings } = discovery;
  const parts = [summary(discovery)];
  if (sightings.length === 0) parts.push(NOTHING_FOUND);
  else parts.push(serversTable(sightings, terminal.colours), ...faults(sightings));
  return [...parts, whatNext(discovery)].filter((part) => part !== '').join('\n\n');
}

const NOTHING_FOUND = [
  'Is the server running, and does it listen on that address? Most listen on loopback only until they are told',
  'otherwise (LM Studio: "Serve on Local Network"; Ollama: OLLAMA_HOST=0.0.0.0; llama-server, vllm: --host 0.0.0.0).',
  'Other machines: swarmrouter discover --subnet 192.168.1.0/24, or --host NAME. Other ports: --ports 5000,5001.',
].join('\n');

function summary({ field, seconds, sightings }: Discovery): string {
  const count = sightings.length === 0 ? 'no model server' : counted(sightings.length, 'model server');
  const where = `${field.where.map(show).join(', ')}, port${field.ports.length === 1 ? '' : 's'} ${field.ports.join(', ')}`;
  return `Looked at ${where}: found ${count} in ${seconds.toFixed(1)} s.`;
}

function serversTable(sightings: readonly Sighting[], colours: boolean): string {
  const { bold, dim } = pico.createColors(colours);
  const heading = ['ADDRESS', 'KIND', 'VERSION', 'MODELS', 'LOADED', 'SLOTS', 'TARGET'].map(bold);
  const rows = sightings.map(({ server, configuredAs, proposal }) => {
    const { snapshot, wantsKey } = server;
    return [
      server.url,
      server.kind,
      show(server.version),
      snapshot === null ? (wantsKey ? 'wants a key' : '?') : namesOf(snapshot.models),
      snapshot === null ? '-' : `${loadedOf(snapshot.models)} of ${snapshot.models.length}`,
      show(snapshot?.slots),
      configuredAs === null ? show(proposal?.name) : dim(`${configuredAs} (configured)`),
    ];
  });
  return table([heading, ...rows]);
}

function namesOf(models: readonly ModelInfo[]): string {
  // What is in memory first: that is what would answer.
  const sorted = [...models].sort((a, b) => Number(b.state === 'loaded') - Number(a.state === 'loaded'));
  const shown = sorted.slice(0, NAMES_SHOWN).map(({ id }) => show(id));
  if (models.length > NAMES_SHOWN) shown.push(`${models.length - NAMES_SHOWN} more`);
  return shown.length === 0 ? '-' : shown.join(', ');
}

const loadedOf = (models: readonly ModelInfo[]): number => models.filter(({ state }) => state === 'loaded').length;

function faults(sightings: readonly Sighting[]): string[] {
  const lines = sightings.flatMap(({ server }) =>
    server.fault === null || server.wantsKey ? [] : [`${server.url}: ${show(server.fault)}`],
  );
  return lines.length === 0 ? [] : [lines.join('\n')];
}

function whatNext({ sightings, fragment, written }: Discovery): string {
  if (sightings.length === 0) return '';
  if (fragment === null) return 'All of them are configured already: there is nothing to add.';
  if (written !== null) {
    const added = `Added ${counted(written.added, 'target')} to ${written.path}:`;
    return `${added}\n\n${fragment}\nA gateway that runs with this file takes them in within seconds.`;
  }
  return `For swarmrouter.yaml (or let --write put it there):\n\n${fragment.trimEnd()}`;
}

/** The same as data. */
export function discoveryJson({ field, seconds, sightings, fragment, written }: Discovery): unknown {
  return {
    looked_at: { where: field.where, ports: field.ports, places: field.places.length },
    seconds: Math.round(seconds * 1_000) / 1_000,
    servers: sightings.map(({ server, configuredAs, proposal }) => ({
      url: server.url,
      kind: server.kind,
      version: server.version,
      models: server.snapshot?.models.map(modelJson) ?? null,
      loaded: server.snapshot === null ? null : loadedOf(server.snapshot.models),
      slots: server.snapshot?.slots ?? null,
      warming: server.snapshot?.warming ?? false,
      wants_key: server.wantsKey,
      fault: server.fault,
      configured_as: configuredAs,
      target: proposal === null ? null : { name: proposal.name, kind: proposal.kind, url: proposal.url },
    })),
    yaml: fragment,
    written,
  };
}

const modelJson = ({ id, kind, state, contextLength, slots }: ModelInfo) => ({
  id,
  kind,
  state,
  context_length: contextLength,
  slots,
});
