/** The flags of `keys create` and `keys update`, as typed. */
export interface KeyFlags {
  readonly name?: string;
  readonly project?: string;
  readonly owner?: string;
  readonly models?: string;
  readonly places?: string;
  readonly routes?: string;
  readonly rpm?: string;
  readonly tpm?: string;
  readonly concurrent?: string;
  readonly budget?: readonly string[];
  readonly soft?: boolean;
  readonly expires?: string;
  readonly metadata?: readonly string[];
}

export type KeyFlagsReading =
  | { readonly ok: true; readonly body: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly problems: readonly string[] };

const BUDGET = /^(?<amount>\d+(?:\.\d+)?)\s*(?<unit>usd|\$|tokens)\/(?<window>day|week|month|total)$/i;
const LEADING_DOLLAR = /^\$(?=\d)/;
/** Without `m`: of a credential nobody should have to guess whether it lives for minutes or months. */
const SPAN = /^(?<count>\d{1,6})(?<unit>min|h|d|w|mo|y)$/i;
const BARE_M = /^\d{1,6}m$/i;
const MINUTE_MS = 60_000;
const LATEST_MS = Date.UTC(9_999, 11, 31);
const SPAN_MINUTES: Readonly<Record<string, number>> = {
  ...{ min: 1, h: 60, d: 1_440, w: 10_080 },
  ...{ mo: 43_200, y: 525_600 },
};

/** As the help of a command says it. */
export const EXPIRY_ALLOWED = '30min, 12h, 90d, 2w, 6mo (months of 30 days), 1y, 2030-01-31, or never';

/** Flags → the body of the admin API. Pure; what the gateway judges (names, ranges) it is left to judge. */
export function keyBodyOf(flags: KeyFlags, nowMs: number): KeyFlagsReading {
  const problems: string[] = [];
  const body: Record<string, unknown> = {};
  if (flags.name !== undefined) body['name'] = flags.name;
  if (flags.project !== undefined) body['project'] = flags.project;
  if (flags.owner !== undefined) body['owner'] = orNull(flags.owner, 'none');
  for (const name of ['models', 'places', 'routes'] as const) {
    const given = flags[name];
    if (given !== undefined) body[`allowed_${name}`] = given === 'any' ? null : listOf(given);
  }
  const limits = limitsOf(flags);
  if (limits !== null) body['limits'] = limits;
  if (flags.budget !== undefined) body['budget'] = budgetsOf(flags.budget, flags.soft === true, problems);
  else if (flags.soft === true) problems.push('--soft says how the budgets of --budget are kept: give one, too.');
  if (flags.expires !== undefined) body['expires_at'] = expiryOf(flags.expires, nowMs, problems);
  if (flags.metadata !== undefined) body['metadata'] = metadataOf(flags.metadata, problems);
  return problems.length > 0 ? { ok: false, problems } : { ok: true, body };
}

function orNull(text: string, none: string): string | null {
  return text === none ? null : text;
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** Null: none was given. What is no number goes as it is: the gateway says what is allowed. */
function limitsOf({ rpm, tpm, concurrent }: KeyFlags): Record<string, unknown> | null {
  const given = Object.entries({ rpm, tpm, concurrent }).filter(([, value]) => value !== undefined);
  if (given.length === 0) return null;
  const limit = (text: string): unknown => (text === 'none' ? null : /^\d+$/.test(text) ? Number(text) : text);
  return Object.fromEntries(given.map(([name, text]) => [name, limit(text as string)]));
}

function budgetsOf(texts: readonly string[], soft: boolean, problems: string[]): readonly unknown[] | null {
  if (texts.length === 1 && texts[0] === 'none') return null;
  return texts.flatMap((text) => {
    const budget = budgetOf(text, soft);
    if (budget === null) problems.push(wrongBudget('--budget', text));
    return budget === null ? [] : [budget];
  });
}

/** `20usd/month`, `$20/month`, `1000000tokens/day` → as the admin API has it. Null: it is none. */
export function budgetOf(text: string, soft: boolean): Readonly<Record<string, unknown>> | null {
  const found = BUDGET.exec(withUnit(text.trim()));
  if (found?.groups === undefined) return null;
  const { amount = '', unit = '', window = '' } = found.groups;
  // As text, so that no digit is lost on the way.
  const limit = unit.toLowerCase() === 'tokens' ? { limit_tokens: Number(amount) } : { limit_usd: amount };
  return { ...limit, window: window.toLowerCase(), hard: !soft };
}

export function wrongBudget(flag: string, text: string): string {
  return `${flag} is ${JSON.stringify(text)}: it should be such as 20usd/month or 1000000tokens/day; the windows are day, week, month and total.`;
}

/** `$20/month` → `20usd/month`; a dollar sign before tokens is nothing. */
function withUnit(text: string): string {
  if (!LEADING_DOLLAR.test(text)) return text;
  const bare = text.slice(1);
  if (/tokens/i.test(bare)) return text;
  return /usd/i.test(bare) ? bare : bare.replace('/', 'usd/');
}

export function expiryOf(text: string, nowMs: number, problems: string[]): string | null {
  if (text === 'never') return null;
  const { count, unit } = SPAN.exec(text)?.groups ?? {};
  if (count !== undefined && unit !== undefined) {
    const endMs = nowMs + Number(count) * (SPAN_MINUTES[unit.toLowerCase()] ?? 0) * MINUTE_MS;
    if (endMs <= LATEST_MS) return new Date(endMs).toISOString();
  }
  const ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  const meant = BARE_M.test(text) ? ` Write ${text}in for minutes, or ${text}o for months.` : '';
  problems.push(`--expires is ${JSON.stringify(text)}: it should be such as ${EXPIRY_ALLOWED}.${meant}`);
  return null;
}

function metadataOf(texts: readonly string[], problems: string[]): Record<string, string> {
  const entries = texts.flatMap((text): [string, string][] => {
    const at = text.indexOf('=');
    if (at > 0) return [[text.slice(0, at), text.slice(at + 1)]];
    problems.push(`--metadata is ${JSON.stringify(text)}: it should be name=value.`);
    return [];
  });
  return Object.fromEntries(entries);
}
