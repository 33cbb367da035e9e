import pico from 'picocolors';
import { fieldOf } from './admin-client.ts';
import { duration, listOf, milliseconds, rate, show, timeOfDay } from './cells.ts';
import { outcomeText } from './decisions.ts';
import { learnedTable } from './learned-table.ts';
import { HEALTH_COLOURS } from './status.ts';
import { table } from './table.ts';

/** What the gateway said at one moment: /admin/status and /admin/decisions. */
export interface Sample {
  readonly status: unknown;
  readonly decisions: unknown;
}

export interface TopView {
  /** The sample before it, which rates are counted from; null: none. */
  readonly before: Sample | null;
  readonly url: string;
  readonly colours: boolean;
  /** Why there is no newer sample; null: there is. */
  readonly problem: string | null;
}

type Paint = ReturnType<typeof pico.createColors>;

/** One frame of `swarmrouter top`, as wide and as high as it needs. */
export function topText(now: Sample, { before, url, colours, problem }: TopView): string {
  const paint = pico.createColors(colours);
  const targets = listOf(fieldOf(now.status, 'targets'));
  const parts = [
    [headLine(now, before, url), ...(problem === null ? [] : [paint.red(problem)])].join('\n'),
    targets.length === 0 ? 'No targets.' : nodesTable(now, before, paint),
    learnedTable(now.status, paint.bold) ?? '',
    decisionsTable(now.decisions, paint),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function headLine({ status }: Sample, before: Sample | null, url: string): string {
  const of = (name: string): string => show(fieldOf(status, name));
  const all = requestsPerSecond(status, before?.status ?? null, () => true);
  return `SwarmRouter ${of('version')} at ${url}, up ${duration(fieldOf(status, 'uptime_seconds'))}, strategy ${of('strategy')}, ${rate(all)} requests/s`;
}

/** Null: there is nothing to count from, or the gateway was started anew in between. */
function requestsPerSecond(now: unknown, before: unknown, which: (target: unknown) => boolean): number | null {
  const elapsed = numberOf(fieldOf(now, 'uptime_seconds')) - numberOf(fieldOf(before, 'uptime_seconds'));
  if (before === null || !(elapsed > 0)) return null;
  const countOf = (status: unknown): number =>
    listOf(fieldOf(status, 'targets'))
      .filter(which)
      .reduce((sum: number, target) => sum + numberOf(fieldOf(target, 'requests')), 0);
  return Math.max(0, countOf(now) - countOf(before)) / elapsed;
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

const NODES = ['NODE', 'HEALTH', 'PLACE', 'SLOTS', 'REQ/S', 'ERRORS', 'P50', 'P95', 'LOADED'];

function nodesTable({ status }: Sample, before: Sample | null, paint: Paint): string {
  const rows = listOf(fieldOf(status, 'targets')).map((target) => {
    const id = fieldOf(target, 'id');
    const health = show(fieldOf(target, 'health'));
    const colour = HEALTH_COLOURS[health];
    const latency = fieldOf(target, 'latency_ms');
    return [
      show(id),
      colour === undefined ? health : paint[colour](health),
      show(fieldOf(target, 'place')),
      slotsText(target),
      rate(requestsPerSecond(status, before?.status ?? null, (other) => fieldOf(other, 'id') === id)),
      show(fieldOf(target, 'errors')),
      milliseconds(fieldOf(latency, 'p50')),
      milliseconds(fieldOf(latency, 'p95')),
      loadedText(target),
    ];
  });
  return table([NODES.map(paint.bold), ...rows]);
}

const BAR_CELLS = 8;

/** `███░░░░░ 3/8 +2`: in use, of how many, and waiting. */
function slotsText(target: unknown): string {
  const slots = fieldOf(target, 'slots');
  const inFlight = numberOf(fieldOf(target, 'in_flight'));
  const queued = numberOf(fieldOf(target, 'queued'));
  const waiting = queued > 0 ? ` +${queued}` : '';
  if (typeof slots !== 'number' || slots <= 0) return `${' '.repeat(BAR_CELLS)} ${inFlight}${waiting}`;
  const full = Math.min(BAR_CELLS, Math.ceil((inFlight / slots) * BAR_CELLS));
  return `${'█'.repeat(full)}${'░'.repeat(BAR_CELLS - full)} ${inFlight}/${slots}${waiting}`;
}

/** A cloud provider lists hundreds, none of which says anything here. */
function loadedText(target: unknown): string {
  const models = listOf(fieldOf(target, 'models'));
  if (fieldOf(target, 'place') === 'cloud') return `${models.length} models`;
  const loaded = models
    .filter((model) => fieldOf(model, 'state') === 'loaded')
    .map((model) => show(fieldOf(model, 'id')));
  return loaded.length === 0 ? '-' : loaded.join(', ');
}

const DECISIONS = ['TIME (UTC)', 'OUTCOME', 'ASKED', 'TARGET', 'FIRST', 'TOOK', 'TRIES', 'REASON'];

function decisionsTable(body: unknown, paint: Paint): string {
  const list = listOf(fieldOf(body, 'decisions'));
  if (list.length === 0) return '';
  const rows = list.map((decision) => {
    const of = (name: string): unknown => fieldOf(decision, name);
    const outcome = outcomeText(decision);
    return [
      timeOfDay(of('time')),
      of('outcome') === 'served' ? outcome : paint.red(outcome),
      show(of('model_asked')),
      show(of('target')),
      milliseconds(of('first_content_ms')),
      milliseconds(of('duration_ms')),
      show(of('calls')),
      show(of('reason')),
    ];
  });
  return table([DECISIONS.map(paint.bold), ...rows]);
}
