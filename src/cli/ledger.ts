import pico from 'picocolors';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { listOf, show } from './cells.ts';
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

export function verdictText(body: unknown, colours: boolean): string {
  const { bold, green, red } = pico.createColors(colours);
  const rows = listOf(fieldOf(body, 'invariants')).map((invariant) => {
    const count = `${show(fieldOf(invariant, 'findings'))}${fieldOf(invariant, 'more') === true ? ' or more' : ''}`;
    const state = fieldOf(invariant, 'ok') === true ? green('kept') : red(`broken: ${count}`);
    return [show(fieldOf(invariant, 'invariant')), show(fieldOf(invariant, 'promise')), state];
  });
  const of = (name: string): string => show(fieldOf(body, name));
  const counted = `Looked at: calls ${of('attempts')}, their parts in budgets ${of('budget_parts')}, windows of budgets ${of('budget_windows')}.`;
  return [table([HEADING.map(bold), ...rows]), '', counted, ...remarks(body)].join('\n');
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
