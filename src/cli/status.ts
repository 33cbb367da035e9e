import pico from 'picocolors';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { duration, listOf, milliseconds, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK } from './exit-codes.ts';
import { learnedTable } from './learned-table.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Shows how the running gateway is. */
export async function status(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('GET', '/admin/status');
  if (!reply.ok) {
    terminal.error(`swarmrouter: ${reply.message}`);
    return EXIT_FAILED;
  }
  terminal.out(asJson ? JSON.stringify(reply.body, null, 2) : statusText(reply.body, client.url, terminal.colours));
  return EXIT_OK;
}

type Colour = 'green' | 'yellow' | 'red' | 'dim';
export const HEALTH_COLOURS: Readonly<Record<string, Colour>> = {
  up: 'green',
  warming: 'yellow',
  unknown: 'dim',
  down: 'red',
};

/** The reply of /admin/status as a person reads it. Fields that an older or newer gateway lacks are shown as `-`. */
export function statusText(body: unknown, url: string, colours: boolean): string {
  const paint = pico.createColors(colours);
  const heading = ['TARGET', 'HEALTH', 'PLACE', 'MODELS', 'IN FLIGHT', 'REQUESTS', 'ERRORS', 'P50', 'P95', 'URL'];
  const rows = listOf(fieldOf(body, 'targets')).map((target) => {
    const health = show(fieldOf(target, 'health'));
    const colour = HEALTH_COLOURS[health];
    const latency = fieldOf(target, 'latency_ms');
    return [
      show(fieldOf(target, 'id')),
      colour === undefined ? health : paint[colour](health),
      show(fieldOf(target, 'place')),
      modelsText(target),
      slotsText(target),
      show(fieldOf(target, 'requests')),
      errorsText(target),
      milliseconds(fieldOf(latency, 'p50')),
      milliseconds(fieldOf(latency, 'p95')),
      show(fieldOf(target, 'url')),
    ];
  });
  const parts = [
    `SwarmRouter ${show(fieldOf(body, 'version'))} at ${url}, up ${duration(fieldOf(body, 'uptime_seconds'))}, strategy ${show(fieldOf(body, 'strategy'))}`,
    rows.length === 0 ? 'No targets.' : table([heading.map(paint.bold), ...rows]),
  ];
  const learned = learnedTable(body, paint.bold);
  if (learned !== null) parts.push(learned);
  const notes = [
    ...reasons(body),
    ...serverLoads(body),
    ...absences(body),
    ...pendingRestart(body),
    ...refusedReload(body),
  ];
  return [...parts, ...(notes.length > 0 ? [notes.join('\n')] : [])].join('\n\n');
}

function modelsText(target: unknown): string {
  const models = listOf(fieldOf(target, 'models'));
  const loaded = models.filter((model) => fieldOf(model, 'state') === 'loaded').length;
  if (fieldOf(target, 'place') === 'cloud') return `${models.length}`;
  return `${loaded} loaded of ${models.length}`;
}

function slotsText(target: unknown): string {
  const slots = fieldOf(target, 'slots');
  const queued = fieldOf(target, 'queued');
  const of =
    typeof slots === 'number'
      ? `${show(fieldOf(target, 'in_flight'))} of ${slots}`
      : show(fieldOf(target, 'in_flight'));
  return typeof queued === 'number' && queued > 0 ? `${of}, ${queued} waiting` : of;
}

function errorsText(target: unknown): string {
  const rate = fieldOf(target, 'error_rate');
  const errors = show(fieldOf(target, 'errors'));
  return typeof rate === 'number' && rate > 0 ? `${errors} (${(rate * 100).toFixed(1)} %)` : errors;
}

function reasons(body: unknown): string[] {
  return listOf(fieldOf(body, 'targets')).flatMap((target) => {
    const reason = fieldOf(target, 'health_reason');
    const texts = [reason, lastErrorText(target), ...listOf(fieldOf(target, 'notes'))];
    const said = texts.filter((text) => typeof text === 'string');
    return said.map((text) => `${show(fieldOf(target, 'id'))}: ${text}`);
  });
}

/** Of a target that is up: one that is down says why already. */
function lastErrorText(target: unknown): string | null {
  const error = fieldOf(target, 'last_error');
  if (fieldOf(target, 'health') !== 'up' || typeof error !== 'object' || error === null) return null;
  return `latest error: ${show(fieldOf(error, 'message'))} (${show(fieldOf(error, 'kind'))}, ${show(fieldOf(error, 'at'))})`;
}

/** Servers that say how busy they are, with the clients that do not come through this gateway. */
function serverLoads(body: unknown): string[] {
  return listOf(fieldOf(body, 'targets')).flatMap((target) => {
    const load = fieldOf(target, 'load');
    if (typeof load !== 'object' || load === null) return [];
    const usage = fieldOf(load, 'cache_usage');
    const cache = typeof usage === 'number' ? `, cache ${Math.round(usage * 100)} % full` : '';
    const [running, waiting] = [show(fieldOf(load, 'running')), show(fieldOf(load, 'waiting'))];
    return [`${show(fieldOf(target, 'id'))} says: ${running} running, ${waiting} waiting${cache}`];
  });
}

function absences(body: unknown): string[] {
  const absent = listOf(fieldOf(body, 'absent_targets')).map((target) => show(fieldOf(target, 'id')));
  return absent.length === 0 ? [] : [`Looked for on this machine, not there: ${absent.join(', ')}`];
}

function pendingRestart(body: unknown): string[] {
  const names = listOf(fieldOf(fieldOf(body, 'config'), 'needs_restart')).map(show);
  return names.length === 0 ? [] : [`Written, but only after a restart: ${names.join(', ')}`];
}

function refusedReload(body: unknown): string[] {
  const problems = listOf(fieldOf(fieldOf(fieldOf(body, 'config'), 'last_error'), 'problems'));
  if (problems.length === 0) return [];
  const lines = problems.map((problem) => {
    const [where, name, message] = ['where', 'name', 'message'].map((field) => show(fieldOf(problem, field)));
    return `  ${name} (${where}): ${message}`;
  });
  return ['The changed configuration is wrong, the old one is in force:', ...lines];
}
