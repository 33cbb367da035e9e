import { isObject } from '../core/json-shape.ts';
import { type AdminClient, type AdminReply, fieldOf } from './admin-client.ts';
import { budgetText, budgetWithReserved } from './budget-text.ts';
import { dateAndTime, listOf, show } from './cells.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_WRONG_USE } from './exit-codes.ts';
import { type KeyFlags, keyBodyOf } from './key-flags.ts';
import { allOf } from './pages.ts';
import { expiryLines, fail, headed, type JsonFlag, noteLines, print } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const PATH = '/admin/keys';

export interface ListKeysFlags extends JsonFlag {
  readonly project?: string;
  readonly state?: string;
}
export interface RotateFlags extends JsonFlag {
  readonly grace?: string;
}

export async function createKey(client: AdminClient, terminal: Terminal, flags: KeyFlags & JsonFlag): Promise<number> {
  const reading = keyBodyOf(flags, Date.now());
  if (!reading.ok) return wrongUse(terminal, reading.problems);
  const reply = await client.request('POST', PATH, reading.body);
  return print(reply, terminal, flags, (made) => [newKeyText(made, 'was made'), ...noteLines(made)].join('\n'));
}

export async function listKeys(client: AdminClient, terminal: Terminal, flags: ListKeysFlags): Promise<number> {
  const found = await allKeys(client, flags);
  if (!found.ok) return fail(terminal, found);
  if (flags.json === true) terminal.out(JSON.stringify({ keys: found.keys }, null, 2));
  else terminal.out(keysText(found.keys, terminal));
  return EXIT_OK;
}

export async function showKey(client: AdminClient, terminal: Terminal, named: string, flags: JsonFlag) {
  const key = await findKey(client, terminal, named);
  if (typeof key === 'number') return key;
  terminal.out(flags.json === true ? JSON.stringify(key, null, 2) : keyText(key));
  return EXIT_OK;
}

export async function updateKey(client: AdminClient, terminal: Terminal, named: string, flags: KeyFlags & JsonFlag) {
  const { soft, ...others } = flags;
  const softens = soft === true && flags.budget === undefined;
  const reading = keyBodyOf(softens ? others : flags, Date.now());
  if (!reading.ok) return wrongUse(terminal, reading.problems);
  if (!softens && Object.keys(reading.body).length === 0)
    return wrongUse(terminal, ['Nothing to change was given. See --help.']);
  const key = await findKey(client, terminal, named);
  if (typeof key === 'number') return key;
  const budget = listOf(fieldOf(key, 'budgets')).map(softBudget);
  if (softens && budget.length === 0) return wrongUse(terminal, ['The key has no budget that could be soft.']);
  const body = softens ? { ...reading.body, budget } : reading.body;
  const reply = await client.request('PATCH', pathOf(key), body, ifUnchanged(key));
  return print(reply, terminal, flags, (changed) => [keyText(changed), ...noteLines(changed)].join('\n'));
}

/** The budget as it is, but that it only warns. */
function softBudget(budget: unknown): object {
  const limit = fieldOf(budget, 'limit_usd') === undefined ? 'limit_tokens' : 'limit_usd';
  return { [limit]: fieldOf(budget, limit), window: fieldOf(budget, 'window'), hard: false };
}

export async function rotateKey(client: AdminClient, terminal: Terminal, named: string, flags: RotateFlags) {
  const key = await findKey(client, terminal, named);
  if (typeof key === 'number') return key;
  const { grace } = flags;
  const body = grace === undefined ? {} : { grace_seconds: /^\d+$/.test(grace) ? Number(grace) : grace };
  const reply = await client.request('POST', `${pathOf(key)}/rotate`, body, ifUnchanged(key));
  return print(reply, terminal, flags, (rotated) => {
    const former = formerTexts(rotated).map((text) => `The text before it, ${text}.`);
    return [newKeyText(rotated, 'has a new text'), ...former, ...noteLines(rotated)].join('\n');
  });
}

export async function revokeKey(client: AdminClient, terminal: Terminal, named: string, flags: JsonFlag) {
  const key = await findKey(client, terminal, named);
  if (typeof key === 'number') return key;
  const reply = await client.request('DELETE', pathOf(key));
  return print(reply, terminal, flags, (revoked) => {
    const { name, prefix } = namesOf(revoked);
    return `The key "${name}" (${prefix}) opens nothing any more. Its record and what it used stay.`;
  });
}

function wrongUse(terminal: Terminal, problems: readonly string[]): number {
  for (const problem of problems) terminal.error(`swarmrouter: ${problem}`);
  return EXIT_WRONG_USE;
}

type AllKeys = { readonly ok: true; readonly keys: readonly unknown[] } | Extract<AdminReply, { readonly ok: false }>;

async function allKeys(client: AdminClient, { project, state }: ListKeysFlags = {}): Promise<AllKeys> {
  const reply = await allOf(client, PATH, 'keys', { project, state });
  return reply.ok ? { ok: true, keys: listOf(fieldOf(reply.body, 'keys')) } : reply;
}

/** By id, by how its text begins, or by its name where only one key that opens anything has it. A number: the exit code. */
async function findKey(client: AdminClient, terminal: Terminal, named: string): Promise<unknown> {
  const all = await allKeys(client);
  if (!all.ok) return fail(terminal, all);
  const exact = all.keys.filter((key) => fieldOf(key, 'id') === named);
  const byName = all.keys.filter(
    (key) => fieldOf(key, 'name') === named || (named.startsWith('wgl_') && isTextOf(key, named)),
  );
  const live = byName.filter((key) => fieldOf(key, 'state') === 'live');
  const candidates = [exact, live, byName].find((some) => some.length > 0) ?? [];
  if (candidates.length === 1) return candidates[0];
  if (candidates.length === 0) {
    // What may be the text of a key is a secret, also of one that is not known here.
    const shown = named.startsWith('wgl_') ? `${named.slice(0, SHOWN_OF_TEXT)}…` : named;
    terminal.error(`swarmrouter: There is no key "${shown}". "swarmrouter keys list" shows them.`);
    return EXIT_FAILED;
  }
  const ids = candidates.map((key) => show(fieldOf(key, 'id'))).join(', ');
  terminal.error(`swarmrouter: ${candidates.length} keys are called "${named}": say which by its id (${ids}).`);
  return EXIT_WRONG_USE;
}

const SHOWN_OF_TEXT = 13;

/** How its text begins, or all of it: only its beginning and end are known. */
function isTextOf(key: unknown, text: string): boolean {
  const shown = show(fieldOf(key, 'prefix'));
  const [begin = '', end = ''] = shown.split('…');
  return shown.startsWith(text) || (end !== '' && text.startsWith(begin) && text.endsWith(end));
}

const pathOf = (key: unknown): string => `${PATH}/${encodeURIComponent(show(fieldOf(key, 'id')))}`;
const ifUnchanged = (key: unknown) => ({ 'if-match': `"${show(fieldOf(key, 'revision'))}"` });
const namesOf = (key: unknown) => ({ name: show(fieldOf(key, 'name')), prefix: show(fieldOf(key, 'prefix')) });

/** The text of the key stands alone in a line, so that it is easily taken. */
function newKeyText(body: unknown, what: string): string {
  const { name } = namesOf(body);
  return [
    `The key "${name}" ${what}. This is its text, shown only now:`,
    '',
    show(fieldOf(body, 'key')),
    '',
    'Clients send it as "Authorization: Bearer <key>", or as the API key of any OpenAI SDK.',
    ...expiryLines(body),
  ].join('\n');
}

function keysText(keys: readonly unknown[], terminal: Terminal): string {
  if (keys.length === 0) {
    return 'There is no client key. Make one: swarmrouter keys create --name alice --project web --rpm 60 --budget 20usd/month';
  }
  const rows = keys.map((key) => [
    ...[show(fieldOf(key, 'name')), show(fieldOf(key, 'project')), show(fieldOf(key, 'prefix'))],
    ...[show(fieldOf(key, 'state')), limitsText(fieldOf(key, 'limits')), budgetsText(key)],
    ...[dateAndTime(fieldOf(key, 'expires_at')), show(fieldOf(key, 'id'))],
  ]);
  return headed(['NAME', 'PROJECT', 'KEY', 'STATE', 'LIMITS', 'BUDGETS', 'EXPIRES', 'ID'], rows, terminal);
}

function keyText(key: unknown): string {
  const namesText = (name: string): string => {
    const names = fieldOf(key, name);
    return Array.isArray(names) ? names.map(show).join(', ') || 'none' : 'any';
  };
  const rows = [
    ...['id', 'name', 'project', 'owner', 'state', 'prefix'].map((name) => [name, show(fieldOf(key, name))]),
    ...['models', 'places', 'routes'].map((name) => [name, namesText(`allowed_${name}`)]),
    ['limits', limitsText(fieldOf(key, 'limits'))],
    ['budgets', listOf(fieldOf(key, 'budgets')).map(budgetWithReserved).join('; ') || '-'],
    ['metadata', metadataText(fieldOf(key, 'metadata'))],
    ...formerTexts(key).map((text) => ['old text', text]),
    ...['created_at', 'expires_at', 'revoked_at'].map((name) => [
      name.replace('_at', ''),
      dateAndTime(fieldOf(key, name)),
    ]),
  ];
  return table(rows);
}

/** Texts from before a rotation that still open the door. */
function formerTexts(key: unknown): readonly string[] {
  const [, ...former] = fieldOf(key, 'state') === 'live' ? listOf(fieldOf(key, 'versions')) : [];
  const nowMs = Date.now();
  return former.flatMap((version) => {
    const until = fieldOf(version, 'expires_at');
    if (typeof until !== 'string' || Date.parse(until) <= nowMs) return [];
    return [`${show(fieldOf(version, 'prefix'))} opens the door until ${dateAndTime(until)} UTC`];
  });
}

function metadataText(metadata: unknown): string {
  const entries = isObject(metadata) ? Object.entries(metadata) : [];
  return entries.map(([name, value]) => `${show(name)}=${show(value)}`).join(', ') || '-';
}

function limitsText(limits: unknown): string {
  const texts = ['rpm', 'tpm', 'concurrent'].flatMap((name) => {
    const value = fieldOf(limits, name);
    return typeof value === 'number' ? [`${value} ${name}`] : [];
  });
  return texts.join(', ') || '-';
}

function budgetsText(key: unknown): string {
  return listOf(fieldOf(key, 'budgets')).map(budgetText).join('; ') || '-';
}
