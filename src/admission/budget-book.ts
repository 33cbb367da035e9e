import type { BudgetScope, BudgetUnit, BudgetWindow } from '../core/budget.ts';
import type { Caller } from '../core/caller.ts';

/** Whose a budget is. */
export interface BudgetPlace {
  readonly organisationId: string;
  readonly scope: BudgetScope;
  /** Id of the organisation, project or key, or name of the model. */
  readonly scopeId: string;
}

/** What of a budget says whether a call has to ask before it is made. */
export interface BudgetInForce extends BudgetPlace {
  readonly unit: BudgetUnit;
  readonly hard: boolean;
}

/** And how much it is, as who is refused is told. */
export interface SharedBudgetInForce extends BudgetInForce {
  readonly budgetId: string;
  readonly window: BudgetWindow;
  /** Nano-USD or tokens. */
  readonly limit: number;
}

/** A hard budget that applies to a call. One of a key has no id of its own that anybody would need. */
export type ApplyingBudget = Pick<SharedBudgetInForce, 'scope' | 'scopeId' | 'unit' | 'window' | 'limit' | 'budgetId'>;

const NONE: readonly BudgetUnit[] = [];

/**
 * The hard budgets, in memory: who has none never waits for the store before a call is made. What they have spent only
 * the store knows.
 */
export class BudgetBook {
  /** Units of the hard budgets, by whose they are. */
  #hard = new Map<string, readonly BudgetUnit[]>();
  #shared: readonly SharedBudgetInForce[] = [];
  /** Models that have a budget, soft ones too, by their names without case: as the budget calls them. */
  #models = new Map<string, string>();

  /** Those of organisations, projects and models, in place of what was there; those of keys stay. */
  replaceShared(given: Iterable<SharedBudgetInForce>): void {
    const budgets = [...given];
    this.#shared = budgets;
    const ofModels = budgets.filter(({ scope }) => scope === 'model');
    this.#models = new Map(ofModels.map(({ organisationId, scopeId }) => [modelKey(organisationId, scopeId), scopeId]));
    const ofKeys = [...this.#hard].filter(([place]) => isOfKey(place));
    this.#hard = new Map([...ofKeys, ...hardUnits(budgets)]);
  }

  /** All budgets of one key, in place of what was there. */
  putKey(organisationId: string, keyId: string, budgets: readonly Pick<BudgetInForce, 'unit' | 'hard'>[]): void {
    const place = placeKey({ organisationId, scope: 'key', scopeId: keyId });
    const units = unitsOf(budgets);
    if (units.length === 0) this.#hard.delete(place);
    else this.#hard.set(place, units);
  }

  /** The model as its budget calls it: a client may write a name otherwise, where its server does not list it. */
  modelName(organisationId: string, model: string): string {
    return this.#models.size === 0 ? model : (this.#models.get(modelKey(organisationId, model)) ?? model);
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

  /** The same with what they are: for a refusal, since it looks at all of them. */
  hardBudgets(caller: Caller, model: string): readonly ApplyingBudget[] {
    const { organisationId, projectId, keyId, budgets } = caller;
    const places = { organisation: organisationId, project: projectId, model } as const;
    const own = keyId === null ? [] : budgets.map((budget) => ({ ...budget, ...OF_KEY, scopeId: keyId }));
    const shared = this.#shared.filter(
      ({ scope, scopeId, organisationId: of }) => of === organisationId && scope !== 'key' && places[scope] === scopeId,
    );
    return [...own, ...shared].filter(({ hard }) => hard);
  }

  #of(organisationId: string, scope: BudgetScope, scopeId: string): readonly BudgetUnit[] {
    return this.#hard.get(placeKey({ organisationId, scope, scopeId })) ?? NONE;
  }
}

const OF_KEY = { scope: 'key', budgetId: '' } as const;

function hardUnits(budgets: Iterable<BudgetInForce>): Map<string, readonly BudgetUnit[]> {
  const hard = [...budgets].filter((budget) => budget.hard);
  return new Map([...Map.groupBy(hard, placeKey)].map(([place, ofPlace]) => [place, unitsOf(ofPlace)]));
}

function unitsOf(budgets: readonly Pick<BudgetInForce, 'unit' | 'hard'>[]): readonly BudgetUnit[] {
  return [...new Set(budgets.filter(({ hard }) => hard).map(({ unit }) => unit))];
}

function placeKey({ organisationId, scope, scopeId }: BudgetPlace): string {
  return `${scope}\n${organisationId}\n${scopeId}`;
}

function modelKey(organisationId: string, model: string): string {
  return `${organisationId}\n${model.toLowerCase()}`;
}

const isOfKey = (place: string): boolean => place.startsWith('key\n');
