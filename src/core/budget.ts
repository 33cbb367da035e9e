export type BudgetScope = 'organisation' | 'project' | 'key' | 'model';
/** Days, weeks and months are those of UTC; a week begins on Monday. */
export const BUDGET_WINDOWS = ['day', 'week', 'month', 'total'] as const;
export type BudgetWindow = (typeof BUDGET_WINDOWS)[number];
/** `usd`: counted in nano-USD · `tokens`: prompts and answers together. */
export type BudgetUnit = 'usd' | 'tokens';

/** What a budget can be set for besides a key, whose budgets are its own. */
export const SHARED_SCOPES = ['organisation', 'project', 'model'] as const;
export type SharedScope = (typeof SHARED_SCOPES)[number];
