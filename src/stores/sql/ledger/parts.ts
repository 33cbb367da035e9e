import type { BudgetUnit } from '../../../core/budget.ts';

/** A call's part in the window of one budget. What it sets aside there and what it spends are the call's own amounts. */
export interface Part {
  readonly budgetId: string;
  readonly unit: BudgetUnit;
  readonly windowStartMs: number;
  /** The call was admitted only because the budget had room. */
  readonly enforced: boolean;
}

type Stored = readonly [budgetId: string, unit: BudgetUnit, windowStartMs: number, enforced: 0 | 1];

/** As they stand in the call's row; null: it has none. */
export function partsText(parts: readonly Part[]): string | null {
  if (parts.length === 0) return null;
  const stored = parts.map(
    ({ budgetId, unit, windowStartMs, enforced }): Stored => [budgetId, unit, windowStartMs, enforced ? 1 : 0],
  );
  return JSON.stringify(stored);
}

export function partsOfText(text: string | null): readonly Part[] {
  if (text === null) return [];
  return (JSON.parse(text) as readonly Stored[]).map(([budgetId, unit, windowStartMs, enforced]) => {
    return { budgetId, unit, windowStartMs, enforced: enforced === 1 };
  });
}
