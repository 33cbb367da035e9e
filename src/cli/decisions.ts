import pico from 'picocolors';
import { nearestName } from '../core/nearest-name.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, milliseconds, show } from './cells.ts';
import { EXIT_OK } from './exit-codes.ts';
import { leftOutLines, stepsNote, stepsTable } from './plan-table.ts';
import { fail } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface DecisionFlags {
  readonly limit?: string;
  readonly target?: string;
  readonly model?: string;
  readonly json?: boolean;
}

const PATH = '/admin/decisions';

/** The latest routing decisions of the running gateway, or the one for `id`. */
export async function decisions(
  client: AdminClient,
  terminal: Terminal,
  id: string | null,
  flags: DecisionFlags,
): Promise<number> {
  const reply = await client.request('GET', id === null ? listPath(flags) : `${PATH}/${encodeURIComponent(id)}`);
  if (!reply.ok) return fail(terminal, reply);
  const { body } = reply;
  if (flags.json === true) terminal.out(JSON.stringify(body, null, 2));
  else if (id !== null) terminal.out(decisionText(body, terminal.colours));
  else terminal.out(listText(body, await whoseText(client, body, flags.target), terminal.colours));
  return EXIT_OK;
}

/** Of whom nothing is kept, when one target was asked for; null: there is something, or all were. */
async function whoseText(client: AdminClient, body: unknown, target: string | undefined): Promise<string | null> {
  if (target === undefined || listOf(fieldOf(body, 'decisions')).length > 0) return null;
  const status = await client.request('GET', '/admin/status');
  const ids = status.ok ? listOf(fieldOf(status.body, 'targets')).map((each) => show(fieldOf(each, 'id'))) : [];
  if (ids.length === 0 || ids.includes(target)) return `"${target}"`;
  const near = nearestName(target, ids);
  // It may have been one until a reload.
  const known = near === null ? `; there are ${ids.join(', ')}` : `: did you mean "${near}"?`;
  return `"${target}", which is no target now${known}`;
}

/** The gateway judges the values, and says what is wrong with one. */
function listPath({ limit, target, model }: DecisionFlags): string {
  const given = Object.entries({ limit, target, model }).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given as [string, string][]).toString();
  return query === '' ? PATH : `${PATH}?${query}`;
}

const HEADING = [
  'TIME (UTC)',
  'ID',
  'OUTCOME',
  'ASKED',
  'TARGET',
  'MODEL',
  'FIRST',
  'TOOK',
  'PROMPT',
  'CACHED',
  'TRIES',
  'REASON',
];

/** `whose`: whom the list is of, said when it is empty; null: of all. */
export function listText(body: unknown, whose: string | null, colours: boolean): string {
  const list = listOf(fieldOf(body, 'decisions'));
  if (fieldOf(body, 'capacity') === 0) return 'Decisions are not kept: SWARMROUTER_DECISIONS is 0.';
  if (list.length === 0) {
    const text = whose === null ? 'No decision is kept' : `No decision is kept of ${whose}`;
    return text.endsWith('?') ? text : `${text}.`;
  }
  const { bold } = pico.createColors(colours);
  const rows = list.map((decision) => {
    const of = (name: string): unknown => fieldOf(decision, name);
    return [
      dateAndTime(of('time')),
      show(of('id')),
      outcomeText(decision),
      show(of('model_asked')),
      show(of('target')),
      show(of('model')),
      milliseconds(of('first_content_ms')),
      milliseconds(of('duration_ms')),
      fieldOf(decision, 'prompt_cut') === true ? `${show(of('prompt_tokens'))} cut` : show(of('prompt_tokens')),
      show(of('cached_tokens')),
      show(of('calls')),
      show(of('reason')),
    ];
  });
  return table([HEADING.map(bold), ...rows]);
}

/** `served`, `exhausted 503`: the status where it is not the usual one. */
export function outcomeText(decision: unknown): string {
  const status = fieldOf(decision, 'status');
  const outcome = show(fieldOf(decision, 'outcome'));
  return status === 200 ? outcome : `${outcome} ${show(status)}`;
}

function decisionText(decision: unknown, colours: boolean): string {
  const { bold } = pico.createColors(colours);
  const steps = fieldOf(decision, 'steps');
  const attempts = listOf(fieldOf(decision, 'attempts'));
  const parts = [
    factLines(decision).join('\n'),
    listOf(steps).length === 0 ? '' : [bold('Plan'), stepsTable(steps, bold), ...stepsNote(steps)].join('\n'),
    attempts.length === 0 ? '' : [bold('Attempts'), attemptsTable(attempts, bold)].join('\n'),
    leftOutLines(fieldOf(decision, 'left_out')).join('\n'),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function factLines(decision: unknown): string[] {
  const of = (name: string): string => show(fieldOf(decision, name));
  const answered = fieldOf(decision, 'target') === null ? 'nobody' : `${of('target')} (${of('place')}), ${of('model')}`;
  const code = fieldOf(decision, 'code') === null ? '' : `, ${of('code')}`;
  const times = ['first_content_ms', 'duration_ms', 'queued_ms'].map((name) => milliseconds(fieldOf(decision, name)));
  return [
    `Request ${of('id')} of ${dateAndTime(fieldOf(decision, 'time'))} UTC`,
    `  asked for  ${of('model_asked')}`,
    `  answered   ${answered}: ${outcomeText(decision)}${code}`,
    `  because    ${of('reason')}`,
    `  took       first content ${times[0]}, in all ${times[1]}, queued ${times[2]}`,
    `  prompt     ${of('prompt_tokens_estimate')} tokens estimated, ${of('prompt_tokens')} reported${cutNote(decision)}`,
    `  cached     ${of('cached_tokens_estimate')} tokens estimated, ${of('cached_tokens')} reported`,
  ];
}

function cutNote(decision: unknown): string {
  return fieldOf(decision, 'prompt_cut') === true ? ': the server cut the rest without a word' : '';
}

function attemptsTable(attempts: readonly unknown[], bold: (text: string) => string): string {
  const heading = ['TARGET', 'PLACE', 'MODEL', 'RESULT', 'STATUS', 'QUEUED', 'FIRST', 'TOOK', 'MESSAGE'];
  const rows = attempts.map((attempt) => {
    const of = (name: string): unknown => fieldOf(attempt, name);
    return [
      show(of('target')),
      show(of('place')),
      show(of('model')),
      of('failure') === null ? 'answered' : show(of('failure')),
      show(of('status')),
      milliseconds(of('queued_ms')),
      milliseconds(of('first_content_ms')),
      milliseconds(of('duration_ms')),
      show(of('message')),
    ];
  });
  return table([heading.map(bold), ...rows]);
}
