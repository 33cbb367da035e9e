import pico from 'picocolors';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { dateAndTime, dollars, listOf, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK } from './exit-codes.ts';
import { fail } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Seconds for a million calls in a file; a database elsewhere that is busy takes longer. */
const LONGEST_MS = 3_600_000;

/** The exit code says whether the ledger keeps what it promises. */
export async function ledgerVerify(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('GET', '/admin/ledger/verify', undefined, {}, LONGEST_MS);
  if (!reply.ok) return fail(terminal, reply);
  const isGood = fieldOf(reply.body, 'ok') === true;
  if (asJson) {
    terminal.out(JSON.stringify(reply.body, null, 2));
  } else {
    terminal.out(verdictText(reply.body, terminal.colours));
    if (!isGood) terminal.error(brokenText(fieldOf(reply.body, 'first_broken')));
  }
  return isGood ? EXIT_OK : EXIT_FAILED;
}

const HEADING = ['', 'PROMISE', 'STATE'];
const OVERCHARGED_HEADING = ['CALL', 'TARGET', 'MODEL', 'KEY', 'BUDGET', 'WINDOW FROM', 'SET ASIDE', 'CHARGED'];
/** Of the overcharged calls; the others are in `--json`. */
const MOST_ROWS = 10;

export function verdictText(body: unknown, colours: boolean): string {
  const { bold, green, red } = pico.createColors(colours);
  const rows = listOf(fieldOf(body, 'invariants')).map((invariant) => {
    const count = `${show(fieldOf(invariant, 'findings'))}${fieldOf(invariant, 'more') === true ? ' or more' : ''}`;
    const state = fieldOf(invariant, 'ok') === true ? green('kept') : red(`broken: ${count}`);
    return [show(fieldOf(invariant, 'invariant')), show(fieldOf(invariant, 'promise')), state];
  });
  const of = (name: string): string => show(fieldOf(body, name));
  const counted = `Looked at: calls ${of('attempts')}, their parts in budgets ${of('budget_parts')}, windows of budgets ${of('budget_windows')}.`;
  const overcharged = overchargedText(fieldOf(body, 'overcharged'), bold);
  return [table([HEADING.map(bold), ...rows]), '', counted, ...remarks(body), ...overcharged].join('\n');
}

/** Nothing here decided it, so it breaks no promise; but a budget may be overspent by it. */
function overchargedText(overcharged: unknown, bold: (text: string) => string): string[] {
  const of = (name: string): unknown => fieldOf(overcharged, name);
  const calls = of('calls');
  if (typeof calls !== 'number' || calls === 0) return [];
  const above = [dollars(of('excess_usd')), `${show(of('excess_tokens'))} tokens`]
    .filter((amount) => amount !== '0' && amount !== '0 tokens')
    .join(' and ');
  const listed = listOf(of('listed'));
  const rest = listed.length > MOST_ROWS || of('more') === true ? ['More of them: --json'] : [];
  return [
    '',
    `Charged above what a hard budget had set aside: calls ${calls}, together ${above} above.`,
    'Their servers kept to no limit or charged another price than is known here.',
    table([OVERCHARGED_HEADING.map(bold), ...listed.slice(0, MOST_ROWS).map(overchargedRow)]),
    ...rest,
  ];
}

function overchargedRow(call: unknown): string[] {
  const of = (name: string): unknown => fieldOf(call, name);
  const amount = (name: string): string =>
    typeof of(`${name}_usd`) === 'number' ? dollars(of(`${name}_usd`)) : `${show(of(`${name}_tokens`))} tokens`;
  const names = ['attempt', 'target', 'model', 'key', 'budget'].map((name) => show(of(name)));
  return [...names, dateAndTime(of('window_start')), amount('reserved'), amount('settled')];
}

/** What was not looked at. */
function remarks(body: unknown): string[] {
  const problem = fieldOf(body, 'store_problem');
  if (typeof problem !== 'string') return [];
  return [`The store takes nothing now (${show(problem)}): ${show(fieldOf(body, 'waiting'))} records wait for it.`];
}

function brokenText(finding: unknown): string {
  const of = (name: string): string => show(fieldOf(finding, name));
  const whose = fieldOf(finding, 'organisation') === null ? '' : ` of organisation ${of('organisation')}`;
  return `The ledger does not keep ${of('invariant')}: ${of('subject')}${whose}\n${of('message')}\nAll findings: --json`;
}
