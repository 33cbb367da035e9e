import type { BudgetUnit, BudgetWindow } from '../../core/budget.ts';
import type { Caller } from '../../core/caller.ts';
import type { BudgetRefusal } from '../../core/ledger.ts';
import { NANO_PER_USD } from '../../core/price.ts';

/** Of the budget that refused: the longest answers that it has room for, tokens each; 0: not even the shortest. */
export interface Fitting {
  /** Now. */
  readonly now: number;
  /** With all of the limit to itself. */
  readonly ever: number;
  /** In which field the client says how long an answer may be. */
  readonly field: 'max_tokens' | 'max_completion_tokens';
  /** How many answers it asks for, ≥ 1. */
  readonly answers: number;
}

/**
 * What a client is told whom a hard budget refused. Pure.
 * @param asked The least that it would have to be let in for, in the budget's unit.
 */
export function refusalText(
  refusal: BudgetRefusal,
  caller: Pick<Caller, 'name'>,
  asked: number,
  fits: Fitting,
): string {
  const { window, unit, limit, spent, reserved } = refusal;
  const amount = (value: number): string => amountText(value, unit);
  const running = reserved === 0 ? '' : `, ${amount(reserved)} set aside for calls that run`;
  const used = `${amount(spent)} spent${running}, and this request may need ${amount(refusal.asked)}`;
  const whose = whoseText(refusal, caller);
  return `The budget of ${whose} is ${amount(limit)} ${windowText(window)}: ${used}. ${advice(refusal, asked, fits)}`;
}

/** A hard budget that applies to a call. */
export type NamedBudget = Pick<
  BudgetRefusal,
  'budgetId' | 'scope' | 'scopeId' | 'window' | 'unit' | 'limit' | 'resetsAtMs'
>;

/** Whose they are, how much, and when they reset, in one sentence. Of none, nothing. */
export function hardBudgetsText(budgets: readonly NamedBudget[], caller: Pick<Caller, 'name'>): string {
  const texts = budgets.map((budget) => {
    const { limit, unit, window, resetsAtMs } = budget;
    const reset = resetsAtMs === null ? 'does not reset by itself' : `resets at ${timeText(resetsAtMs)}`;
    return `of ${whoseText(budget, caller)} is ${amountText(limit, unit)} ${windowText(window)} and ${reset}`;
  });
  return texts.length === 0 ? '' : `The hard budget ${texts.join(', that ')}.`;
}

/** Keys by the names that people gave them, as their limits are told; of others the id too, by which they are changed. */
function whoseText({ scope, scopeId, budgetId }: NamedBudget, { name }: Pick<Caller, 'name'>): string {
  return scope === 'key' ? `the key "${name}"` : `the ${scope} "${scopeId}" (${budgetId})`;
}

/** Every way of it says when the budget resets, also where that alone does not help. */
function advice({ limit, resetsAtMs }: BudgetRefusal, asked: number, fits: Fitting): string {
  const resets = resetsAtMs === null ? 'does not reset by itself' : `resets at ${timeText(resetsAtMs)}`;
  if (limit === 0) return `It lets nothing pass: the operator can change it. The budget ${resets}.`;
  const shorter = fits.now === 0 ? 'Its prompt alone does not fit now.' : `${withAtMost(fits.now, fits)} now.`;
  if (asked <= limit) return `It ${resets}. ${shorter}`;
  const never = 'It will never be let in: it may need more than the whole budget.';
  if (fits.ever === 0) return `${never} ${larger(fits)} The budget ${resets}.`;
  if (fits.now > 0) return `${never} ${shorter} The budget ${resets}.`;
  if (resetsAtMs === null) return `${never} ${withAtMost(fits.ever, fits)} an unused budget. The budget ${resets}.`;
  return `${never} ${withAtMost(fits.ever, fits)} after the budget ${resets}.`;
}

const larger = ({ answers }: Fitting): string =>
  `Shorten the prompt${answers > 1 ? ', ask for fewer answers' : ''}, or ask the operator for a larger budget.`;
const withAtMost = (tokens: number, { field, answers }: Fitting): string =>
  `With ${field} of at most ${tokens}${answers > 1 ? ` for each of the ${answers} answers` : ''} it fits`;
const timeText = (atMs: number): string => new Date(atMs).toISOString();
const windowText = (window: BudgetWindow): string => (window === 'total' ? 'in total' : `a ${window}`);

function amountText(value: number, unit: BudgetUnit): string {
  if (unit === 'usd') return `${usdText(value)} USD`;
  return value === 1 ? '1 token' : `${value} tokens`;
}

/** Exactly, and never as 1e-9. */
function usdText(nanoUsd: number): string {
  const [whole, fraction = ''] = (nanoUsd / NANO_PER_USD).toFixed(9).split('.');
  const digits = fraction.replace(/0+$/, '');
  return digits === '' ? `${whole}` : `${whole}.${digits}`;
}
