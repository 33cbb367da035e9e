import pico from 'picocolors';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { changesOf, nameOf } from './audit-change.ts';
import { dateAndTime, listOf, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { fail } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';
import { withQuery } from './with-query.ts';

interface AuditFilterFlags {
  readonly from?: string;
  readonly to?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly subject?: string;
}

export interface AuditListFlags extends AuditFilterFlags {
  readonly limit?: string;
  readonly cursor?: string;
  readonly json?: boolean;
}

export interface AuditExportFlags extends AuditFilterFlags {
  readonly format?: string;
}

const PATH = '/admin/audit';

/** Who changed what, and who was refused. */
export async function auditList(client: AdminClient, terminal: Terminal, flags: AuditListFlags): Promise<number> {
  const { json, limit, cursor } = flags;
  const reply = await client.request('GET', withQuery(PATH, { ...filterOf(flags), limit, cursor }));
  if (!reply.ok) return fail(terminal, reply);
  terminal.out(json === true ? JSON.stringify(reply.body, null, 2) : listText(reply.body, terminal.colours));
  return EXIT_OK;
}

/** One entry, whole. @param entry its number, as the list shows it */
export async function auditShow(client: AdminClient, terminal: Terminal, entry: string, asJson: boolean) {
  const sequence = /^[1-9]\d{0,14}$/.test(entry) ? Number(entry) : null;
  if (sequence === null) {
    terminal.error(
      `swarmrouter: ${JSON.stringify(entry)} is no entry: give its number, as "swarmrouter audit" shows it.`,
    );
    return EXIT_WRONG_USE;
  }
  const reply = await client.request('GET', withQuery(PATH, { limit: '1', cursor: String(sequence + 1) }));
  if (!reply.ok) return fail(terminal, reply);
  const [found] = listOf(fieldOf(reply.body, 'entries'));
  if (fieldOf(found, 'sequence') !== sequence) {
    terminal.error(`swarmrouter: There is no entry ${sequence}. "swarmrouter audit" lists them.`);
    return EXIT_FAILED;
  }
  terminal.out(asJson ? JSON.stringify(found, null, 2) : entryText(found));
  return EXIT_OK;
}

export async function auditExport(client: AdminClient, terminal: Terminal, flags: AuditExportFlags): Promise<number> {
  const failure = await client.download(
    withQuery(`${PATH}/export`, { ...filterOf(flags), format: flags.format }),
    (text) => terminal.write(text),
  );
  return failure === null ? EXIT_OK : fail(terminal, failure);
}

/** The exit code says whether the log is as it was written. */
export async function auditVerify(client: AdminClient, terminal: Terminal, asJson: boolean): Promise<number> {
  const reply = await client.request('GET', `${PATH}/verify`);
  if (!reply.ok) return fail(terminal, reply);
  const isGood = fieldOf(reply.body, 'ok') === true;
  if (asJson) terminal.out(JSON.stringify(reply.body, null, 2));
  else if (isGood) terminal.out(goodText(reply.body));
  else terminal.error(badText(reply.body));
  return isGood ? EXIT_OK : EXIT_FAILED;
}

/** Without the flags that say where the gateway is. */
function filterOf({ from, to, actor, action, subject }: AuditFilterFlags) {
  return { from, to, actor, action, subject };
}

const HEADING = ['ENTRY', 'TIME (UTC)', 'WHO', 'FROM', 'ACTION', 'SUBJECT', 'OUTCOME', 'CHANGE'];
/** Fields of a change in a table; `audit show` has all of them. */
const SHOWN_FIELDS = 3;

export function listText(body: unknown, colours: boolean): string {
  const entries = listOf(fieldOf(body, 'entries'));
  if (entries.length === 0) return 'No entry is on record.';
  const { bold, dim, red } = pico.createColors(colours);
  const rows = entries.map((entry) => {
    const of = (name: string): string => show(fieldOf(entry, name));
    const outcome = of('outcome');
    return [
      of('sequence'),
      dateAndTime(fieldOf(entry, 'time')),
      actorText(fieldOf(entry, 'actor')),
      of('address'),
      of('action'),
      subjectText(entry),
      outcome === 'refused' ? red(outcome) : outcome,
      changeText(entry),
    ];
  });
  const next = fieldOf(body, 'next_cursor');
  const more = typeof next === 'string' ? ['', dim(`Older ones: --cursor ${show(next)}`)] : [];
  return [table([HEADING.map(bold), ...rows]), ...more].join('\n');
}

function actorText(actor: unknown): string {
  const id = fieldOf(actor, 'id');
  const kind = show(fieldOf(actor, 'kind'));
  return typeof id === 'string' ? `${kind} ${show(id)}` : kind;
}

/** With the name that it had then, where it has one besides its id. */
function subjectText(entry: unknown): string {
  const subject = show(fieldOf(entry, 'subject'));
  const name = nameOf(entry);
  return name === null || subject.endsWith(`:${name}`) ? subject : `${subject} (${name})`;
}

function changeText(entry: unknown): string {
  const changes = changesOf(entry);
  if (changes.length === 0) return '-';
  const more = changes.length > SHOWN_FIELDS ? [`${changes.length - SHOWN_FIELDS} more`] : [];
  return [...changes.slice(0, SHOWN_FIELDS), ...more].join(', ');
}

const ENTRY_FIELDS = ['address', 'request_id', 'action', 'outcome'];

function entryText(entry: unknown): string {
  const rows = [
    ['entry', show(fieldOf(entry, 'sequence'))],
    ['time', show(fieldOf(entry, 'time'))],
    ['who', actorText(fieldOf(entry, 'actor'))],
    ...ENTRY_FIELDS.map((name) => [name.replace('_', ' '), show(fieldOf(entry, name))]),
    ['subject', subjectText(entry)],
    ...changesOf(entry).map((change, at) => [at === 0 ? 'change' : '', change]),
  ];
  return table(rows);
}

function goodText(body: unknown): string {
  const [entries, checkpoints] = [fieldOf(body, 'entries'), fieldOf(body, 'checkpoints')];
  if (entries === 0) return 'The audit log has no entry yet.';
  const end = show(fieldOf(fieldOf(body, 'end'), 'hash'));
  return `The audit log is as it was written: ${show(entries)} entries, ${show(checkpoints)} signed ${checkpoints === 1 ? 'checkpoint' : 'checkpoints'}.\nIt ends with ${end}.`;
}

function badText(body: unknown): string {
  const bad = fieldOf(body, 'first_bad');
  const what = `${show(fieldOf(bad, 'fault'))}, entry ${show(fieldOf(bad, 'sequence'))}`;
  const good = show(fieldOf(body, 'entries'));
  return `The audit log is not as it was written (${what}).\n${show(fieldOf(bad, 'message'))}\nGood until then: ${good} entries.`;
}
