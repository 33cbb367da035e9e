import type { BudgetRefusal } from '../../core/ledger.ts';

/** Below this an answer is of no use to anybody, tokens. */
export const LEAST_USEFUL_TOKENS = 256;

/** What is left of the budget that refused; may be below 0. */
export function roomOf({ limit, spent, reserved }: BudgetRefusal): number {
  return limit - spent - reserved;
}

/**
 * The longest answers that cost no more than there is room for, tokens each; 0: not even the shortest. `costOf` never
 * falls with the length.
 */
export function longestFitting(room: number, most: number, costOf: (answerTokens: number) => number): number {
  if (costOf(1) > room) return 0;
  let fits = 1;
  let tooLong = most + 1;
  while (tooLong - fits > 1) {
    const middle = Math.floor((fits + tooLong) / 2);
    if (costOf(middle) <= room) fits = middle;
    else tooLong = middle;
  }
  return fits;
}

/** When asking again may help, ms; null: waiting does not. Calls that run may give back what they hold at any time. */
export function retryAfterMs({ limit, spent, asked, resetsAtMs }: BudgetRefusal, nowMs: number): number | null {
  if (spent + asked <= limit) return RUNNING_CALLS_MS;
  if (asked > limit || resetsAtMs === null) return null;
  return Math.max(RUNNING_CALLS_MS, resetsAtMs - nowMs);
}

const RUNNING_CALLS_MS = 1_000;
