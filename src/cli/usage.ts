import pico from 'picocolors';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { listOf, roundDollars, show } from './cells.ts';
import { EXIT_OK } from './exit-codes.ts';
import { fail, print } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';
import { withQuery } from './with-query.ts';

interface UsageFilterFlags {
  readonly project?: string;
  readonly from?: string;
  readonly to?: string;
}

export interface UsageFlags extends UsageFilterFlags {
  readonly by?: string;
  readonly json?: boolean;
}

export interface UsageExportFlags extends UsageFilterFlags {
  readonly format?: string;
}

const PATH = '/admin/usage';
const DEFAULT_GROUPS = 'model,target';

/** What the calls of the running gateway used and cost. */
export async function usage(client: AdminClient, terminal: Terminal, flags: UsageFlags): Promise<number> {
  const { by = DEFAULT_GROUPS, project, from, to } = flags;
  const reply = await client.request('GET', withQuery(PATH, { group_by: by, project, from, to }));
  return print(reply, terminal, flags, (body) => usageText(body, by.split(','), terminal.colours));
}

/** Every call on record, as it comes: memory stays flat however many there are. */
export async function usageExport(client: AdminClient, terminal: Terminal, flags: UsageExportFlags): Promise<number> {
  const { project, from, to, format } = flags;
  const failure = await client.download(withQuery(`${PATH}/export`, { project, from, to, format }), (text) =>
    terminal.write(text),
  );
  return failure === null ? EXIT_OK : fail(terminal, failure);
}

const SUMS = ['REQUESTS', 'INPUT', 'CACHED', 'OUTPUT', 'COST'];

/** `groups`: what the sums are taken by. */
export function usageText(body: unknown, groups: readonly string[], colours: boolean): string {
  const rows = listOf(fieldOf(body, 'rows'));
  const span = `${show(fieldOf(body, 'from'))} to ${show(fieldOf(body, 'to'))}`;
  if (rows.length === 0) return `No call is on record from ${span}.`;
  const { bold, dim } = pico.createColors(colours);
  const total = fieldOf(body, 'total');
  // Beside the cost that it is not in, in each row; where all prices are known nobody has to read it.
  const withUnpriced = Number(fieldOf(total, 'unpriced') ?? 0) > 0;
  const heading = [
    ...groups.map((name) => name.toUpperCase()),
    ...SUMS,
    ...(withUnpriced ? ['UNPRICED'] : []),
    'SAVED',
  ];
  const cells = (row: unknown): string[] => sumCells(row, withUnpriced);
  const lines = rows.map((row) => [...groups.map((name) => groupCell(row, name.trim())), ...cells(row)]);
  const totals = [...groups.map((_, at) => (at === 0 ? 'total' : '')), ...cells(total)];
  return [table([heading.map(bold), ...lines, totals]), '', dim(span), ...remarks(total)].join('\n');
}

function groupCell(row: unknown, group: string): string {
  const name = group === 'key' ? fieldOf(row, 'key_name') : null;
  const value = show(fieldOf(row, group));
  return typeof name === 'string' ? `${show(name)} (${value})` : value;
}

function sumCells(row: unknown, withUnpriced: boolean): string[] {
  const of = (name: string): string => show(fieldOf(row, name));
  const money = (name: string): string => roundDollars(fieldOf(row, name));
  return [
    ...[of('requests'), of('input_tokens'), of('cached_input_tokens'), of('output_tokens')],
    ...[fieldOf(row, 'cost_usd') === null ? 'unknown' : money('cost_usd')],
    ...(withUnpriced ? [of('unpriced')] : []),
    money('saved_usd'),
  ];
}

/** What is not in the sums. */
function remarks(total: unknown): string[] {
  const count = (name: string): number => Number(fieldOf(total, name) ?? 0);
  const calls = (name: string): string => (count(name) === 1 ? '1 call' : `${count(name)} calls`);
  const lines: string[] = [];
  if (count('unpriced') > 0) {
    const [has, is] = count('unpriced') === 1 ? ['has', 'is'] : ['have', 'are'];
    lines.push(`${calls('unpriced')} ${has} no known price and ${is} not in the cost. Set one: swarmrouter prices set`);
  }
  if (count('unknown') > 0) {
    lines.push(
      `${calls('unknown')} broke off without a word of what was used: ${roundDollars(fieldOf(total, 'maybe_usd'))} of the cost is what was set aside for ${count('unknown') === 1 ? 'it' : 'them'}.`,
    );
  }
  if (count('open') > 0) lines.push(`${calls('open')} still ${count('open') === 1 ? 'runs' : 'run'}.`);
  return lines;
}
