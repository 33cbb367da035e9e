import pico from 'picocolors';
import { type AdminReply, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

export interface JsonFlag {
  readonly json?: boolean;
}

/** A table with headings that stand out where there are colours. */
export function headed(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  { colours }: Terminal,
): string {
  const { bold } = pico.createColors(colours);
  return table([headings.map(bold), ...rows]);
}

/** The reply as JSON or as `text` has it, or why there is none. Gives the exit code. */
export function print(reply: AdminReply, terminal: Terminal, flags: JsonFlag, text: (body: unknown) => string): number {
  if (!reply.ok) return fail(terminal, reply);
  terminal.out(flags.json === true ? JSON.stringify(reply.body, null, 2) : text(reply.body));
  return EXIT_OK;
}

export function fail(terminal: Terminal, reply: Extract<AdminReply, { ok: false }>): number {
  terminal.error(`swarmrouter: ${reply.message}`);
  return reply.wrongUse === true ? EXIT_WRONG_USE : EXIT_FAILED;
}

/** What was done and is probably not meant, a line each. */
export function noteLines(body: unknown): readonly string[] {
  return listOf(fieldOf(body, 'warnings')).map((warning) => `Note: ${show(warning)}`);
}

/** When a new credential ends, as a date: how a span was understood is seen before it matters. */
export function expiryLines(body: unknown): readonly string[] {
  const at = fieldOf(body, 'expires_at');
  return typeof at === 'string' ? [`It opens the door until ${dateAndTime(at)} UTC.`] : [];
}

/** Where something comes from that may lie over another of its name. */
export function sourceText(item: unknown): string {
  const source = show(fieldOf(item, 'source'));
  const replaces = fieldOf(item, 'replaces');
  return typeof replaces === 'string' ? `${source}, over ${replaces}` : source;
}
