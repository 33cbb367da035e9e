import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import pico from 'picocolors';
import { patchTopLevel } from '../core/json-patch.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { listOf, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { leftOutLines, stepsNote, stepsTable } from './plan-table.ts';
import type { Terminal } from './terminal.ts';

export interface ExplainFlags {
  readonly model?: string;
  /** A request's body; `-`: standard input. */
  readonly file?: string;
  readonly prompt?: string;
  /** `name: value`, each. */
  readonly header?: readonly string[];
  readonly json?: boolean;
}

/** Where the gateway would send a request now, why, and at what cost. Nothing is sent on. */
export async function explain(client: AdminClient, terminal: Terminal, flags: ExplainFlags): Promise<number> {
  const headers = readHeaders(flags.header ?? []);
  const body = await readRequest(terminal, flags);
  const wrong = [headers, body].find((read) => !read.ok);
  if (wrong !== undefined) terminal.error(`swarmrouter: ${wrong.reason}`);
  if (!headers.ok || !body.ok) return EXIT_WRONG_USE;
  const reply = await client.request('POST', '/admin/explain', body.value, headers.value);
  if (!reply.ok) {
    terminal.error(`swarmrouter: ${reply.message}`);
    return EXIT_FAILED;
  }
  terminal.out(flags.json === true ? JSON.stringify(reply.body, null, 2) : explainText(reply.body, terminal.colours));
  return EXIT_OK;
}

type Read<Value> =
  | { readonly ok: true; readonly value: Value; readonly reason?: never }
  | { readonly ok: false; readonly reason: string };

const good = <Value>(value: Value): Read<Value> => ({ ok: true, value });
const bad = (reason: string): { readonly ok: false; readonly reason: string } => ({ ok: false, reason });

/** Those that the gateway looks at; the credential and the content type are ours to set. */
const HEADER = /^(x-[a-z0-9-]+) *: *([\x20-\x7e]*)$/i;

function readHeaders(written: readonly string[]): Read<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const text of written) {
    const [, name, value] = HEADER.exec(text) ?? [];
    if (name === undefined || value === undefined) {
      return bad(`--header ${JSON.stringify(text)}: write 'x-name: value', such as 'x-swarmrouter-place: local'`);
    }
    headers[name.toLowerCase()] = value.trim();
  }
  return good(headers);
}

/** The body as a client would send it: a file goes byte for byte, since what is cached is judged by its bytes. */
async function readRequest(terminal: Terminal, { model, file, prompt }: ExplainFlags): Promise<Read<Uint8Array>> {
  if (file !== undefined && prompt !== undefined) return bad('give -f or -p, not both');
  if (file === undefined) {
    const body = { model, messages: [{ role: 'user', content: prompt ?? 'Hello' }] };
    return good(Buffer.from(JSON.stringify(body)));
  }
  try {
    const bytes = file === '-' ? await terminal.readInput() : readFileSync(resolve(terminal.directory, file));
    return good(model === undefined ? bytes : withModel(bytes, model));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return bad(
      `-f ${file} cannot be read (${code}). Give a file with the JSON body of a chat request, or - for standard input`,
    );
  }
}

function withModel(bytes: Uint8Array, model: string): Uint8Array {
  // What is no JSON object goes as it is: the gateway says so, in the words that it has for clients.
  return isObject(bytes) ? patchTopLevel(bytes, { model }) : bytes;
}

function isObject(bytes: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function explainText(body: unknown, colours: boolean): string {
  const { bold } = pico.createColors(colours);
  const steps = fieldOf(body, 'steps');
  const tokens = fieldOf(body, 'prompt_tokens_estimate');
  const size = typeof tokens === 'number' ? `, prompt of about ${tokens} tokens` : '';
  const model = fieldOf(body, 'model');
  const heading = `${typeof model === 'string' ? show(model) : 'No model named'}, strategy ${show(fieldOf(body, 'strategy'))}${size}`;
  const noRoute = fieldOf(body, 'no_route');
  const parts = [
    heading,
    listOf(steps).length === 0 ? '' : [stepsTable(steps, bold), ...stepsNote(steps)].join('\n'),
    noRoute === undefined ? '' : noRouteText(noRoute),
    leftOutLines(fieldOf(body, 'left_out')).join('\n'),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function noRouteText(noRoute: unknown): string {
  const [status, code, message] = ['status', 'code', 'message'].map((name) => show(fieldOf(noRoute, name)));
  return `Nobody could serve it: ${status} ${code}: ${message}`;
}
