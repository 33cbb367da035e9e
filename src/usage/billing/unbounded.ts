import type { Purchase } from '../../core/billing.ts';
import type { BudgetUnit } from '../../core/budget.ts';
import type { Caller } from '../../core/caller.ts';
import { budgetText } from './budget-words.ts';

/** OpenRouter searches the web for a model of this name, and puts what it finds into the prompt. */
const SEARCHES = /:online$/i;

/** Why nobody can say what the call costs at most, for the client; null: that can be said. Pure. */
export function unboundedText(
  { request: { caller }, target, model }: Pick<Purchase, 'request' | 'target' | 'model'>,
  hasPrice: boolean,
  units: readonly BudgetUnit[],
): string | null {
  if (target.adapterKind === 'openrouter' && SEARCHES.test(model)) {
    return `${budgetsText(caller, units)} What the web search of "${model}" costs is not known before it is made, so it cannot be set aside. Ask for the model without ':online'.`;
  }
  if (units.includes('usd') && !hasPrice && target.place === 'cloud') {
    return `${budgetsText(caller, ['usd'])} No price is known for "${model}" at the target "${target.id}", so what it may cost cannot be set aside. Waiting does not help: ask the operator to set a price (swarmrouter prices set), or for a model with a price.`;
  }
  return null;
}

/** Those of a key are known here; of the others only that there is one. */
function budgetsText({ name, budgets }: Pick<Caller, 'name' | 'budgets'>, units: readonly BudgetUnit[]): string {
  const own = budgets.filter(({ hard, unit }) => hard && units.includes(unit)).map(budgetText);
  if (own.length > 0) return `The key "${name}" has a hard budget of ${own.join(' and ')}.`;
  const unit = units.includes('usd') ? 'USD' : 'tokens';
  return `A hard budget in ${unit} applies to this request: one of its organisation, project or model.`;
}
