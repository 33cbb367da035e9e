import { type AdminClient, fieldOf } from './admin-client.ts';
import { budgetText, budgetWithReserved } from './budget-text.ts';
import { dateAndTime, listOf, show, wholeDollars } from './cells.ts';
import { EXIT_WRONG_USE } from './exit-codes.ts';
import { budgetOf, wrongBudget } from './key-flags.ts';
import { allOf } from './pages.ts';
import { headed, type JsonFlag, noteLines, print } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const PATH = '/admin/budgets';

/** Whose a budget is: exactly one of them. */
export interface PlaceFlags {
  readonly organisation?: boolean;
  readonly project?: string;
  readonly model?: string;
}
export interface CreateBudgetFlags extends PlaceFlags, JsonFlag {
  readonly budget: string;
  readonly soft?: boolean;
}
export interface UpdateBudgetFlags extends JsonFlag {
  readonly limit?: string;
  readonly hard?: boolean;
  readonly soft?: boolean;
}

/** What several keys may spend together, and have spent. */
export async function listBudgets(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  return print(await allOf(client, PATH, 'budgets'), terminal, flags, (body) => listText(body, terminal));
}

export async function showBudget(
  client: AdminClient,
  terminal: Terminal,
  id: string,
  flags: JsonFlag,
): Promise<number> {
  return print(await client.request('GET', pathOf(id)), terminal, flags, (budget) =>
    table([
      ['id', show(fieldOf(budget, 'id'))],
      ['for', show(fieldOf(budget, 'scope'))],
      ['name', show(fieldOf(budget, 'name'))],
      ['spent', budgetWithReserved(budget)],
      ['resets', dateAndTime(fieldOf(budget, 'resets_at'))],
      ['made', dateAndTime(fieldOf(budget, 'created_at'))],
    ]),
  );
}

export async function createBudget(client: AdminClient, terminal: Terminal, flags: CreateBudgetFlags): Promise<number> {
  const place = placeOf(flags);
  const budget = budgetOf(flags.budget, flags.soft === true);
  if (place === null || budget === null) {
    if (place === null)
      terminal.error('swarmrouter: say whose it is: one of --organisation, --project ID, --model NAME.');
    if (budget === null) terminal.error(`swarmrouter: ${wrongBudget('--budget', flags.budget)}`);
    return EXIT_WRONG_USE;
  }
  const reply = await client.request('POST', PATH, { ...place, ...budget });
  return print(reply, terminal, flags, (body) =>
    [
      `${nameOf(body)} may now spend ${limitText(body)}. Its id is ${show(fieldOf(body, 'id'))}.`,
      ...noteLines(body),
    ].join('\n'),
  );
}

export async function updateBudget(client: AdminClient, terminal: Terminal, id: string, flags: UpdateBudgetFlags) {
  const { limit, hard, soft } = flags;
  const amount = limit === undefined ? {} : limitOf(limit);
  if (amount === null || (hard === true && soft === true) || (limit === undefined && hard !== true && soft !== true)) {
    const seen =
      amount === null ? `--limit is ${JSON.stringify(limit)}: it should be such as 20usd or 1000000tokens.` : '';
    terminal.error(`swarmrouter: ${seen || 'Give --limit, or one of --hard and --soft.'}`);
    return EXIT_WRONG_USE;
  }
  const body = { ...amount, ...(hard === true && { hard: true }), ...(soft === true && { hard: false }) };
  const reply = await client.request('PATCH', pathOf(id), body);
  return print(reply, terminal, flags, (changed) => `${nameOf(changed)} may now spend ${limitText(changed)}.`);
}

export async function removeBudget(client: AdminClient, terminal: Terminal, id: string, flags: JsonFlag) {
  const reply = await client.request('DELETE', pathOf(id));
  return print(
    reply,
    terminal,
    flags,
    (removed) => `${nameOf(removed)} is no longer limited to ${limitText(removed)}.`,
  );
}

const pathOf = (id: string): string => `${PATH}/${encodeURIComponent(id)}`;

function placeOf({ organisation, project, model }: PlaceFlags): object | null {
  const given = [
    ...(organisation === true ? [{ scope: 'organisation' }] : []),
    ...(project === undefined ? [] : [{ scope: 'project', name: project }]),
    ...(model === undefined ? [] : [{ scope: 'model', name: model }]),
  ];
  return given.length === 1 ? (given[0] ?? null) : null;
}

/** A limit without its window. Null: it is none. */
function limitOf(text: string): object | null {
  const budget = text.includes('/') ? null : budgetOf(`${text}/total`, false);
  if (budget === null) return null;
  const { window: _, hard: __, ...limit } = budget;
  return limit;
}

function nameOf(budget: unknown): string {
  const scope = show(fieldOf(budget, 'scope'));
  return `The ${scope} "${show(fieldOf(budget, 'name'))}"`;
}

function limitText(budget: unknown): string {
  const usd = fieldOf(budget, 'limit_usd');
  const limit = typeof usd === 'number' ? wholeDollars(usd) : `${show(fieldOf(budget, 'limit_tokens'))} tokens`;
  const soft = fieldOf(budget, 'hard') === false ? ' (soft: it only warns)' : '';
  const window = show(fieldOf(budget, 'window'));
  return `${limit} ${window === 'total' ? 'in total' : `a ${window}`}${soft}`;
}

function listText(body: unknown, terminal: Terminal): string {
  const budgets = listOf(fieldOf(body, 'budgets'));
  if (budgets.length === 0) {
    return 'There is no budget but those of keys. Make one: swarmrouter budgets create --project web --budget 100usd/month';
  }
  const rows = budgets.map((budget) => [
    ...[show(fieldOf(budget, 'scope')), show(fieldOf(budget, 'name')), budgetText(budget)],
    ...[dateAndTime(fieldOf(budget, 'resets_at')), show(fieldOf(budget, 'id'))],
  ]);
  return headed(['FOR', 'NAME', 'SPENT', 'RESETS', 'ID'], rows, terminal);
}
