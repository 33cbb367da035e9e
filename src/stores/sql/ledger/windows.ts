import type { BudgetWindow } from '../../../core/budget.ts';

const DAY_MS = 86_400_000;
/** The epoch was a Thursday; weeks begin on Monday. */
const FIRST_MONDAY_MS = 4 * DAY_MS;

/** When the window began that the moment lies in; UTC, ms since the epoch. */
export function windowStartMs(window: BudgetWindow, atMs: number): number {
  if (window === 'total') return 0;
  if (window === 'day') return Math.floor(atMs / DAY_MS) * DAY_MS;
  if (window === 'week') return Math.floor((atMs - FIRST_MONDAY_MS) / (7 * DAY_MS)) * 7 * DAY_MS + FIRST_MONDAY_MS;
  if (atMs >= latestMonth.startMs && atMs < latestMonth.endMs) return latestMonth.startMs;
  const at = new Date(atMs);
  const startMs = Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), 1);
  latestMonth = { startMs, endMs: Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1) };
  return startMs;
}

/** Nearly always asked for again; a calendar takes longer than all the rest of a reservation. */
let latestMonth = { startMs: Number.NaN, endMs: Number.NaN };

/** When the next one begins; null: never. */
export function windowEndMs(window: BudgetWindow, startMs: number): number | null {
  if (window === 'total') return null;
  if (window === 'day') return startMs + DAY_MS;
  if (window === 'week') return startMs + 7 * DAY_MS;
  if (startMs === latestMonth.startMs) return latestMonth.endMs;
  const start = new Date(startMs);
  return Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + 1, 1);
}
