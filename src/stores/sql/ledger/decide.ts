import type { BudgetScope, BudgetUnit, BudgetWindow } from '../../../core/budget.ts';
import type { AttemptEnd, AttemptStart, BudgetRefusal, LedgerOperation, LedgerResult } from '../../../core/ledger.ts';
import type { AttemptState } from './attempt-state.ts';
import { windowEndMs, windowStartMs } from './windows.ts';

export interface Budget {
  readonly organisationId: string;
  readonly budgetId: string;
  readonly scope: BudgetScope;
  readonly scopeId: string;
  readonly window: BudgetWindow;
  readonly unit: BudgetUnit;
  readonly limit: number;
  readonly hard: boolean;
}

export interface Hold {
  readonly organisationId: string;
  readonly attemptId: string;
  readonly budgetId: string;
  readonly unit: BudgetUnit;
  readonly windowStartMs: number;
  readonly reserved: number;
  readonly enforced: boolean;
}

export interface SettledHold extends Hold {
  readonly settled: number;
}

export interface WindowAmounts {
  readonly organisationId: string;
  readonly budgetId: string;
  readonly windowStartMs: number;
  readonly reserved: number;
  readonly settled: number;
}

/** What the rows say that this batch may touch, locked until it is written. */
export interface Books {
  /** Those that apply to an attempt that starts. */
  readonly budgetsOf: (start: AttemptStart) => readonly Budget[];
  /**
   * Attempts on record, where something depends on it: those that end without having begun in the batch, those that must
   * not be refused when they were admitted before. All others are new, unless the rows say otherwise when they are
   * written. Null: none was looked up.
   */
  readonly attempts: ReadonlyMap<string, AttemptState> | null;
  /** What open attempts that end have set aside. */
  readonly holds: ReadonlyMap<string, readonly Hold[]>;
  readonly windows: ReadonlyMap<string, WindowAmounts>;
  /** The batch takes nothing away from any window and asks none for room: they were neither looked up nor locked. */
  readonly onlyAdds: boolean;
}

const NO_BUDGETS: readonly Budget[] = [];

export const NO_BOOKS: Books = {
  budgetsOf: () => NO_BUDGETS,
  attempts: null,
  holds: new Map(),
  windows: new Map(),
  onlyAdds: true,
};

type EndOperation = Extract<LedgerOperation, { kind: 'end' }>;

export interface WholeAttempt {
  readonly start: AttemptStart;
  readonly end: AttemptEnd;
}

/** What to write, and what to tell whoever asked. What begins and ends in the batch is written once, as `whole`. */
export interface Decision {
  /** One an operation. Those of attempts that were not looked up are what they are if the rows agree. */
  readonly results: LedgerResult[];
  readonly whole: readonly WholeAttempt[];
  readonly started: readonly AttemptStart[];
  readonly ended: readonly EndOperation[];
  readonly wholeHolds: readonly SettledHold[];
  readonly opened: readonly Hold[];
  readonly closed: readonly SettledHold[];
  /** How much they change, in the order of their keys. */
  readonly windows: readonly WindowAmounts[];
}

export const attemptKey = (organisationId: string, attemptId: string): string => `${organisationId}\n${attemptId}`;
export const windowKey = (window: Window): string =>
  `${window.organisationId}\n${window.budgetId}\n${window.windowStartMs}`;

/** Decides each operation by itself, in order: what one gives back, the next may have. */
export function decide(operations: readonly LedgerOperation[], books: Books): Decision {
  const batch = new Batch(books);
  const results = operations.map((operation) =>
    operation.kind === 'start' ? batch.start(operation.start, operation.enforce) : batch.end(operation),
  );
  return { results, ...batch.writes() };
}

type Window = Pick<WindowAmounts, 'organisationId' | 'budgetId' | 'windowStartMs'>;
type Amounts = Pick<WindowAmounts, 'reserved' | 'settled'>;
type ChangedWindow = { -readonly [Name in keyof WindowAmounts]: WindowAmounts[Name] };

const NOTHING: Amounts = { reserved: 0, settled: 0 };
const DONE: LedgerResult = { kind: 'done' };

/** Of an attempt that the batch has seen. */
interface Seen {
  state: AttemptState;
  /** Began in the batch and has not ended; null otherwise. */
  start: AttemptStart | null;
  readonly holds: readonly Hold[];
}

const NO_HOLDS: readonly Hold[] = [];

class Batch {
  readonly #books: Books;
  readonly #seen = new Map<string, Seen>();
  /** By how much. */
  readonly #changed = new Map<string, ChangedWindow>();
  /** The window of a budget that was changed last: nearly always the same. */
  readonly #latest = new Map<Budget, ChangedWindow>();
  readonly #whole: WholeAttempt[] = [];
  readonly #ended: EndOperation[] = [];
  readonly #wholeHolds: SettledHold[] = [];
  readonly #closed: SettledHold[] = [];

  constructor(books: Books) {
    this.#books = books;
  }

  start(start: AttemptStart, enforce: boolean): LedgerResult {
    const key = attemptKey(start.payer.organisationId, start.attemptId);
    if (this.#stateOf(key) !== undefined) return { kind: 'repeated' };
    const budgets = this.#books.budgetsOf(start);
    const refusal = enforce ? this.#refusal(budgets, start) : null;
    if (refusal !== null) return { kind: 'refused', refusal };
    const holds = budgets.length === 0 ? NO_HOLDS : budgets.map((budget) => this.#open(budget, start, enforce));
    this.#seen.set(key, { state: 'reserved', start, holds });
    return DONE;
  }

  end(operation: EndOperation): LedgerResult {
    const { organisationId, attemptId, end } = operation;
    const key = attemptKey(organisationId, attemptId);
    const seen = this.#seen.get(key);
    const state = seen?.state ?? this.#books.attempts?.get(key);
    if (state === undefined && this.#books.attempts !== null) return { kind: 'missing' };
    if (state !== undefined && state !== 'reserved') return { kind: 'late' };
    if (seen === undefined || seen.start === null) {
      this.#close(this.#books.holds.get(key) ?? NO_HOLDS, end, this.#closed);
      this.#ended.push(operation);
      this.#seen.set(key, { state: end.state, start: null, holds: NO_HOLDS });
      return DONE;
    }
    this.#close(seen.holds, end, this.#wholeHolds);
    this.#whole.push({ start: seen.start, end });
    seen.state = end.state;
    seen.start = null;
    return DONE;
  }

  writes(): Omit<Decision, 'results'> {
    const open = [...this.#seen.values()].filter(({ start }) => start !== null);
    return {
      whole: this.#whole,
      started: open.flatMap(({ start }) => start ?? []),
      ended: this.#ended,
      wholeHolds: this.#wholeHolds,
      opened: open.flatMap(({ holds }) => holds),
      closed: this.#closed,
      windows: [...this.#changed.keys()].sort().map((key) => this.#changed.get(key) as WindowAmounts),
    };
  }

  #open(budget: Budget, start: AttemptStart, enforced: boolean): Hold {
    const hold = holdOf(budget, start, enforced);
    let window = this.#latest.get(budget);
    if (window === undefined || window.windowStartMs !== hold.windowStartMs) {
      window = this.#changedWindow(hold);
      this.#latest.set(budget, window);
    }
    window.reserved += hold.reserved;
    return hold;
  }

  #close(holds: readonly Hold[], end: AttemptEnd, list: SettledHold[]): void {
    for (const hold of holds) {
      const settled = spentOf(hold, end);
      const window = this.#changedWindow(hold);
      window.reserved -= hold.reserved;
      window.settled += settled;
      list.push({ ...hold, settled });
    }
  }

  #stateOf(key: string): AttemptState | undefined {
    return this.#seen.get(key)?.state ?? this.#books.attempts?.get(key);
  }

  #refusal(budgets: readonly Budget[], start: AttemptStart): BudgetRefusal | null {
    for (const budget of budgets) {
      if (!budget.hard) continue;
      const { windowStartMs: startMs, reserved: asked } = holdOf(budget, start, true);
      const { reserved, settled } = this.#amounts({ ...budget, windowStartMs: startMs });
      if (settled + reserved + asked <= budget.limit) continue;
      const { budgetId, scope, scopeId, window, unit, limit } = budget;
      const found = { budgetId, scope, scopeId, window, unit, limit, spent: settled, reserved, asked };
      return { ...found, resetsAtMs: windowEndMs(window, startMs) };
    }
    return null;
  }

  #amounts(window: Window): Amounts {
    const key = windowKey(window);
    const [before, changed] = [this.#books.windows.get(key) ?? NOTHING, this.#changed.get(key) ?? NOTHING];
    return { reserved: before.reserved + changed.reserved, settled: before.settled + changed.settled };
  }

  #changedWindow(hold: Hold): ChangedWindow {
    const key = windowKey(hold);
    let window = this.#changed.get(key);
    if (window === undefined) {
      const { organisationId, budgetId, windowStartMs: startMs } = hold;
      window = { organisationId, budgetId, windowStartMs: startMs, reserved: 0, settled: 0 };
      this.#changed.set(key, window);
    }
    return window;
  }
}

function holdOf(budget: Budget, start: AttemptStart, enforced: boolean): Hold {
  return {
    organisationId: budget.organisationId,
    attemptId: start.attemptId,
    budgetId: budget.budgetId,
    unit: budget.unit,
    windowStartMs: windowStartMs(budget.window, start.startedAtMs),
    reserved: budget.unit === 'usd' ? start.reservedNanoUsd : start.reservedTokens,
    enforced: enforced && budget.hard,
  };
}

/** What the budget pays. Where nobody can say, what was set aside: a price that is not known is not 0. */
function spentOf(hold: Pick<Hold, 'unit' | 'reserved'>, end: AttemptEnd): number {
  if (end.state === 'voided') return 0;
  const tokens = end.inputTokens + end.outputTokens;
  const seen = hold.unit === 'usd' ? end.costNanoUsd : end.state === 'unknown' && tokens === 0 ? null : tokens;
  if (seen === null) return hold.reserved;
  return end.state === 'unknown' && hold.reserved > 0 ? Math.min(hold.reserved, seen) : seen;
}
