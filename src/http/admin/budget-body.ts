import {
  BUDGET_WINDOWS,
  type BudgetUnit,
  type BudgetWindow,
  SHARED_SCOPES,
  type SharedScope,
} from '../../core/budget.ts';
import type { BudgetLimit } from '../../core/client-key.ts';
import { scaledDecimal } from '../../core/decimal.ts';
import { isObject } from '../../core/json-shape.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { type Problem, shown } from './problems.ts';

const USD_PLACES = 9;
const LIMIT_NAMES = ['limit_usd', 'limit_tokens'] as const;
const BUDGET_NAMES = [...LIMIT_NAMES, 'window', 'hard'];
const SHARED_NAMES = ['scope', 'name', ...BUDGET_NAMES];
const MOST_NAME = 512;

/** Gathers what is wrong with a body. */
export class BodyReader {
  readonly problems: Problem[] = [];

  problem(field: string, value: unknown, allowed: string): void {
    this.problems.push({ field, seen: value === undefined ? null : shown(value), allowed });
  }
}

export type SharedBudgetGiven = BudgetLimit & { readonly scope: SharedScope; readonly scopeId: string };

export type BudgetReading<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/**
 * The body of a new budget of an organisation, project or model. Pure; reports every problem at once.
 * @param organisationId whose budget it is to be
 */
export function readSharedBudget(body: unknown, organisationId: string): BudgetReading<SharedBudgetGiven> {
  const reader = new BodyReader();
  if (!isObject(body)) {
    reader.problem('body', body, 'one JSON object');
    return { ok: false, problems: reader.problems };
  }
  const { scope, name, ...budget } = body;
  const place = readPlace(reader, scope, name, organisationId);
  const limit = readBudget(reader, budget, '', SHARED_NAMES);
  if (place === null || limit === null || reader.problems.length > 0) return { ok: false, problems: reader.problems };
  return { ok: true, value: { ...limit, ...place } };
}

/** The body of a change. Pure; reports every problem at once. @param unit of the budget that is changed */
export function readBudgetChange(
  body: unknown,
  unit: BudgetUnit,
): BudgetReading<Partial<Pick<BudgetLimit, 'limit' | 'hard'>>> {
  const reader = new BodyReader();
  if (!isObject(body)) {
    reader.problem('body', body, 'one JSON object');
    return { ok: false, problems: reader.problems };
  }
  const limitName = unit === 'usd' ? 'limit_usd' : 'limit_tokens';
  for (const name of Object.keys(body)) {
    if (name === limitName || name === 'hard') continue;
    if (SHARED_NAMES.includes(name)) {
      reader.problem(
        name,
        body[name],
        `left out: of a budget only ${limitName} and hard change; remove it and make another`,
      );
    } else reader.problems.push(unknownField(name, [limitName, 'hard']));
  }
  const limit = body[limitName] === undefined ? undefined : readLimit(reader, unit, body[limitName], limitName);
  const { hard } = body;
  if (hard !== undefined) checkHard(reader, hard, 'hard');
  if (Object.keys(body).length === 0) reader.problem(limitName, undefined, 'given, or hard');
  if (reader.problems.length > 0) return { ok: false, problems: reader.problems };
  return {
    ok: true,
    value: { ...(typeof limit === 'number' && { limit }), ...(typeof hard === 'boolean' && { hard }) },
  };
}

/**
 * Null: it is wrong, and the reader knows why.
 * @param at where it is in the body; empty: it is the body
 * @param names what may be there
 */
export function readBudget(
  reader: BodyReader,
  value: unknown,
  at: string,
  names: readonly string[] = BUDGET_NAMES,
): BudgetLimit | null {
  if (!isObject(value)) {
    reader.problem(at, value, 'an object such as {"limit_usd": 20, "window": "month"}');
    return null;
  }
  const before = reader.problems.length;
  const field = (name: string): string => (at === '' ? name : `${at}.${name}`);
  for (const name of Object.keys(value)) {
    if (BUDGET_NAMES.includes(name)) continue;
    const problem = unknownField(name, names);
    reader.problems.push({ ...problem, field: field(problem.field) });
  }
  const { limit_usd: usd, limit_tokens: tokens, window, hard = true } = value;
  if ((usd === undefined) === (tokens === undefined)) {
    const seen = usd === undefined ? undefined : tokens;
    reader.problem(at === '' ? LIMIT_NAMES[0] : at, at === '' ? seen : value, 'either limit_usd or limit_tokens');
  }
  const unit: BudgetUnit = usd === undefined ? 'tokens' : 'usd';
  const given = usd === undefined ? tokens : usd;
  const limit =
    given === undefined ? null : readLimit(reader, unit, given, field(unit === 'usd' ? 'limit_usd' : 'limit_tokens'));
  if (!(BUDGET_WINDOWS as readonly unknown[]).includes(window)) {
    reader.problem(field('window'), window, `one of ${BUDGET_WINDOWS.join(', ')}`);
  }
  checkHard(reader, hard, field('hard'));
  if (reader.problems.length > before || limit === null) return null;
  return { unit, limit, window: window as BudgetWindow, hard: hard === true };
}

export function unknownField(name: string, names: readonly string[]): Problem {
  const nearest = nearestName(name, names);
  const allowed = nearest === null ? `one of ${names.join(', ')}` : `"${nearest}", or left out`;
  return { field: shown(name), seen: 'not a known field', allowed };
}

function readPlace(
  reader: BodyReader,
  scope: unknown,
  name: unknown,
  organisationId: string,
): Pick<SharedBudgetGiven, 'scope' | 'scopeId'> | null {
  if (!(SHARED_SCOPES as readonly unknown[]).includes(scope)) {
    reader.problem(
      'scope',
      scope,
      `one of ${SHARED_SCOPES.join(', ')}; those of a key are changed with it (PATCH /admin/keys/{id})`,
    );
    return null;
  }
  if (scope === 'organisation') {
    if (name === undefined || name === organisationId) return { scope, scopeId: organisationId };
    reader.problem('name', name, `left out, or "${organisationId}"`);
    return null;
  }
  if (typeof name === 'string' && name.trim() !== '' && name.length <= MOST_NAME && !/\p{Cc}/u.test(name)) {
    return { scope: scope as SharedScope, scopeId: name.trim() };
  }
  reader.problem('name', name, scope === 'project' ? 'the id of a project' : 'the name of a model');
  return null;
}

function readLimit(reader: BodyReader, unit: BudgetUnit, value: unknown, field: string): number | null {
  const limit = unit === 'usd' ? nanoUsd(value) : wholeTokens(value);
  if (limit !== null) return limit;
  const allowed =
    unit === 'usd'
      ? 'US dollars from 0 to 9 million with at most nine decimal places'
      : 'a whole number of tokens from 0 on';
  reader.problem(field, value, allowed);
  return null;
}

function checkHard(reader: BodyReader, hard: unknown, field: string): void {
  if (typeof hard !== 'boolean') reader.problem(field, hard, 'true (refuses) or false (only warns)');
}

function wholeTokens(value: unknown): number | null {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
}

function nanoUsd(value: unknown): number | null {
  const scaled = scaledDecimal(value, USD_PLACES);
  return scaled?.exact === true ? scaled.value : null;
}
