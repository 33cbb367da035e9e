import { fieldOf } from './admin-client.ts';
import { show } from './cells.ts';

/** `$1.20 of $20/month`. */
export function budgetText(budget: unknown): string {
  const usd = fieldOf(budget, 'limit_usd');
  const inUsd = typeof usd === 'number';
  const spent = fieldOf(budget, inUsd ? 'spent_usd' : 'spent_tokens');
  const limit = inUsd ? `$${usd}` : `${show(fieldOf(budget, 'limit_tokens'))} tokens`;
  const soft = fieldOf(budget, 'hard') === false ? ', soft' : '';
  const used = inUsd ? `$${Number(Number(spent ?? 0).toPrecision(3))}` : show(spent);
  return `${used} of ${limit}/${show(fieldOf(budget, 'window'))}${soft}`;
}
