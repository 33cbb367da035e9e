import type { BudgetScope, BudgetUnit } from '../core/budget.ts';
import type { Caller } from '../core/caller.ts';

/** What of a budget says whether a call has to ask before it is made. */
export interface BudgetInForce {
  readonly organisationId: string;
  readonly budgetId: string;
  readonly scope: BudgetScope;
  /** Id of the organisation, project or key, or name of the model. */
  readonly scopeId: string;
  readonly unit: BudgetUnit;
  readonly hard: boolean;
}

const NONE: readonly BudgetUnit[] = [];

/**
 * The hard budgets, in memory: who has none never waits for the store before a call is made. What they have spent only
 * the store knows.
 */
export class BudgetBook {
  readonly #byId = new Map<string, BudgetInForce>();
  /** By scope. */
  #hard = new Map<string, readonly BudgetUnit[]>();

  /** All of them, in place of what was there. */
  replace(budgets: Iterable<BudgetInForce>): void {
    this.#byId.clear();
    for (const budget of budgets) this.#byId.set(idOf(budget), budget);
    this.#sort();
  }

  put(budget: BudgetInForce): void {
    this.#byId.set(idOf(budget), budget);
    this.#sort();
  }

  remove(budget: Pick<BudgetInForce, 'organisationId' | 'budgetId'>): void {
    if (this.#byId.delete(idOf(budget))) this.#sort();
  }

  /** Units of the hard budgets that apply to a call. */
  hardUnits({ organisationId, projectId, keyId }: Caller, model: string): readonly BudgetUnit[] {
    if (this.#hard.size === 0) return NONE;
    const found = new Set([
      ...this.#of(organisationId, 'organisation', organisationId),
      ...this.#of(organisationId, 'project', projectId),
      ...this.#of(organisationId, 'model', model),
      ...(keyId === null ? NONE : this.#of(organisationId, 'key', keyId)),
    ]);
    return found.size === 0 ? NONE : [...found];
  }

  #of(organisationId: string, scope: BudgetScope, id: string): readonly BudgetUnit[] {
    return this.#hard.get(scopeKey(organisationId, scope, id)) ?? NONE;
  }

  #sort(): void {
    const hard = [...this.#byId.values()].filter((budget) => budget.hard);
    const byScope = Map.groupBy(hard, ({ organisationId, scope, scopeId }) => scopeKey(organisationId, scope, scopeId));
    this.#hard = new Map(
      [...byScope].map(([scope, budgets]) => [scope, [...new Set(budgets.map(({ unit }) => unit))]]),
    );
  }
}

function idOf({ organisationId, budgetId }: Pick<BudgetInForce, 'organisationId' | 'budgetId'>): string {
  return `${organisationId}\n${budgetId}`;
}

function scopeKey(organisationId: string, scope: BudgetScope, id: string): string {
  return `${organisationId}\n${scope}\n${id}`;
}
