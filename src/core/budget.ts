export type BudgetScope = 'organisation' | 'project' | 'key' | 'model';
/** Days, weeks and months are those of UTC; a week begins on Monday. */
export const BUDGET_WINDOWS = ['day', 'week', 'month', 'total'] as const;
export type BudgetWindow = (typeof BUDGET_WINDOWS)[number];
/** `usd`: counted in nano-USD · `tokens`: prompts and answers together. */
export type BudgetUnit = 'usd' | 'tokens';
