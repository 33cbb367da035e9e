import type { Purchase } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import { hardBudgetsText, type NamedBudget } from './budget-words.ts';

/** OpenRouter searches the web for a model of this name, and puts what it finds into the prompt. */
const SEARCHES = /:online$/i;

/**
 * Why nobody can say what the call costs at most, for the client; null: that can be said. Pure.
 * @param budgets the hard budgets that apply, asked for only where it is told of them
 */
export function unboundedText(
  { request: { caller }, target, model }: Pick<Purchase, 'request' | 'target' | 'model'>,
  hasPrice: boolean,
  units: readonly BudgetUnit[],
  budgets: () => readonly NamedBudget[],
): string | null {
  const budgetsText = (of: readonly BudgetUnit[]): string => {
    const told = budgets().filter(({ unit }) => of.includes(unit));
    return hardBudgetsText(told, caller) || 'A hard budget applies to this request.';
  };
  if (target.adapterKind === 'openrouter' && SEARCHES.test(model)) {
    return `${budgetsText(units)} What the web search of "${model}" costs is not known before it is made, so it cannot be set aside. Ask for the model without ':online'.`;
  }
  if (units.includes('usd') && !hasPrice && target.place === 'cloud') {
    return `${budgetsText(['usd'])} No price is known for "${model}" at the target "${target.id}", so what it may cost cannot be set aside. Waiting does not help: ask the operator to set a price (swarmrouter prices set), or for a model with a price.`;
  }
  return null;
}
