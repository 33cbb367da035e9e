import { fieldOf } from './admin-client.ts';
import { roundDollars, show, wholeDollars } from './cells.ts';

/** `$1.20 of $20/month`. */
export function budgetText(budget: unknown): string {
  const usd = fieldOf(budget, 'limit_usd');
  const inUsd = typeof usd === 'number';
  const spent = fieldOf(budget, inUsd ? 'spent_usd' : 'spent_tokens');
  const limit = inUsd ? wholeDollars(usd) : `${show(fieldOf(budget, 'limit_tokens'))} tokens`;
  const soft = fieldOf(budget, 'hard') === false ? ', soft' : '';
  const used = inUsd ? roundDollars(spent ?? 0) : show(spent);
  return `${used} of ${limit}/${show(fieldOf(budget, 'window'))}${soft}`;
}

/** What runs now may still cost that much; it counts as spent until it is known. */
export function budgetWithReserved(budget: unknown): string {
  const usd = fieldOf(budget, 'reserved_usd');
  const reserved = usd ?? fieldOf(budget, 'reserved_tokens');
  if (typeof reserved !== 'number' || reserved === 0) return budgetText(budget);
  const amount = typeof usd === 'number' ? roundDollars(usd) : `${reserved} tokens`;
  return `${budgetText(budget)} (and ${amount} set aside for calls that run)`;
}
