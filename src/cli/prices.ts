import pico from 'picocolors';
import { TOKEN_CLASSES, type TokenClass } from '../core/price.ts';
import { RATE_FIELDS } from '../core/price-fields.ts';
import { type AdminClient, fieldOf } from './admin-client.ts';
import { dateAndTime, listOf, show, wholeDollars } from './cells.ts';
import { allOf } from './pages.ts';
import { type JsonFlag, noteLines, print } from './reply-text.ts';
import { table } from './table.ts';
import type { Terminal } from './terminal.ts';

const PATH = '/admin/prices';

/** What `prices set` calls a rate: `--cached-input`. */
export const RATE_FLAGS: readonly (readonly [TokenClass, string])[] = TOKEN_CLASSES.map((name) => [
  name,
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
]);

/** The flags of `prices set`: rates by their class, as they were typed. The gateway judges them, and says what is wrong. */
export type SetFlags = Readonly<Partial<Record<TokenClass | 'provider' | 'perRequest', string>>> & JsonFlag;

export interface RemoveFlags extends JsonFlag {
  readonly provider?: string;
}

/** The prices that were set. */
export async function listPrices(client: AdminClient, terminal: Terminal, flags: JsonFlag): Promise<number> {
  const reply = await allOf(client, PATH, 'prices');
  return print(reply, terminal, flags, (body) =>
    [setTable(body, terminal), '', catalogueLine(body), ...remarks(body)].join('\n'),
  );
}

/** What a model costs at each target, and who says so. */
export async function showPrice(
  client: AdminClient,
  terminal: Terminal,
  model: string,
  flags: JsonFlag,
): Promise<number> {
  const reply = await allOf(client, PATH, 'prices', { model });
  return print(reply, terminal, flags, (body) =>
    [targetTable(body, terminal), '', catalogueLine(body), ...remarks(body)].join('\n'),
  );
}

export async function setPrice(
  client: AdminClient,
  terminal: Terminal,
  model: string,
  flags: SetFlags,
): Promise<number> {
  const rates = TOKEN_CLASSES.map((name) => [RATE_FIELDS[name], flags[name]] as const);
  const given = [['model', model], ['provider', flags.provider], ...rates, ['usd_per_request', flags.perRequest]];
  const body = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  const reply = await client.request('POST', PATH, body);
  return print(reply, terminal, flags, (done) =>
    [setText(fieldOf(done, 'price')), ...noteLines(done), ...remarks(done)].join('\n'),
  );
}

export async function removePrice(
  client: AdminClient,
  terminal: Terminal,
  model: string,
  flags: RemoveFlags,
): Promise<number> {
  const { provider } = flags;
  const query = new URLSearchParams({ model, ...(provider !== undefined && { provider }) });
  const reply = await client.request('DELETE', `${PATH}?${query}`);
  return print(reply, terminal, flags, (body) => show(fieldOf(body, 'message')));
}

function setTable(body: unknown, terminal: Terminal): string {
  const prices = listOf(fieldOf(body, 'prices'));
  if (prices.length === 0) return 'No price was set. Set one: swarmrouter prices set MODEL --input 0.15 --output 0.60';
  const { bold, dim } = pico.createColors(terminal.colours);
  const rows = prices.map((price) => {
    const cells = [
      ...[show(fieldOf(price, 'model')), providerOf(price), ...priceCells(price)],
      ...[show(fieldOf(price, 'set_by')), dateAndTime(fieldOf(price, 'updated_at'))],
    ];
    return fieldOf(price, 'counts') === false ? [...cells, 'another counts'].map(dim) : cells;
  });
  return table([['MODEL', 'FOR', 'INPUT', 'OUTPUT', 'BESIDES', 'SET BY', 'SINCE'].map(bold), ...rows]);
}

function targetTable(body: unknown, terminal: Terminal): string {
  const targets = listOf(fieldOf(body, 'targets'));
  if (targets.length === 0) return 'There is no target.';
  const { bold, dim } = pico.createColors(terminal.colours);
  const rows = targets.map((target) => {
    const price = fieldOf(target, 'price');
    const cells = [
      ...['target', 'place', 'model'].map((name) => show(fieldOf(target, name))),
      ...(price === null ? ['unknown', 'unknown', '-'] : priceCells(price)),
      sourceOf(target),
    ];
    return fieldOf(target, 'offered') === false ? [...cells, 'does not have the model'].map(dim) : cells;
  });
  return table([['TARGET', 'PLACE', 'MODEL', 'INPUT', 'OUTPUT', 'BESIDES', 'FROM'].map(bold), ...rows]);
}

/** `override` says too little: whose, and for what. */
function sourceOf(target: unknown): string {
  const setFor = fieldOf(target, 'set_for');
  if (fieldOf(target, 'set_by') === null || setFor === null) return show(fieldOf(target, 'source'));
  return `${show(fieldOf(target, 'set_by'))}, for ${providerOf(setFor)}`;
}

function providerOf(price: unknown): string {
  const provider = fieldOf(price, 'provider');
  return provider === null ? 'every target' : show(provider);
}

const SHOWN: ReadonlySet<string> = new Set([RATE_FIELDS.input, RATE_FIELDS.output]);

/** Two columns of every price, and all that it has besides. USD for a million tokens. */
function priceCells(price: unknown): string[] {
  const others = TOKEN_CLASSES.filter((name) => !SHOWN.has(RATE_FIELDS[name])).flatMap((name) => {
    const rate = fieldOf(price, RATE_FIELDS[name]);
    return rate === undefined
      ? []
      : [`${RATE_FIELDS[name].replace('_usd_per_mtok', '').replaceAll('_', ' ')} ${wholeDollars(rate)}`];
  });
  const request = fieldOf(price, 'usd_per_request');
  if (request !== undefined) others.push(`${wholeDollars(request)} a request`);
  const hour = fieldOf(price, 'usd_per_hour');
  if (hour !== undefined) others.push(`${wholeDollars(hour)} an hour`);
  const tiers = listOf(fieldOf(price, 'tiers'));
  if (tiers.length > 0) others.push(`${tiers.length} tiers`);
  return [
    wholeDollars(fieldOf(price, RATE_FIELDS.input)),
    wholeDollars(fieldOf(price, RATE_FIELDS.output)),
    others.join(', ') || '-',
  ];
}

function setText(price: unknown): string {
  const [input, output, others] = priceCells(price);
  const besides = others === '-' ? '' : `, ${others}`;
  const what = `${show(fieldOf(price, 'model'))} at ${providerOf(price)}`;
  return `${what} costs ${input} in and ${output} out for a million tokens${besides}, from the next call on.`;
}

function catalogueLine(body: unknown): string {
  const catalogue = fieldOf(body, 'catalogue');
  return `USD for a million tokens. Catalogue: ${show(fieldOf(catalogue, 'source'))} of ${show(fieldOf(catalogue, 'date'))}.`;
}

function remarks(body: unknown): string[] {
  if (fieldOf(body, 'usage_kept') !== false) return [];
  return ['The gateway keeps no usage, so no call is priced: set SWARMROUTER_USAGE=true and start it again.'];
}
