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
  /** Budgets that apply to the attempts that start. */
  readonly budgets: ReadonlyMap<string, readonly Budget[]>;
  /** Attempts on record; null: not looked up, since no budget depends on it. */
  readonly attempts: ReadonlyMap<string, AttemptState> | null;
  /** What open attempts that end have set aside. */
  readonly holds: ReadonlyMap<string, readonly Hold[]>;
  readonly windows: ReadonlyMap<string, WindowAmounts>;
}

export const NO_BOOKS: Books = { budgets: new Map(), attempts: null, holds: new Map(), windows: new Map() };

type EndOperation = Extract<LedgerOperation, { kind: 'end' }>;

/** What to write, and what to tell whoever asked. */
export interface Decision {
  /** One an operation. Those of attempts that were not looked up are what they are if the rows agree. */
  readonly results: LedgerResult[];
  readonly started: readonly AttemptStart[];
  readonly ended: readonly EndOperation[];
  readonly opened: readonly Hold[];
  readonly closed: readonly SettledHold[];
  readonly windows: readonly WindowAmounts[];
}

export const attemptKey = (organisationId: string, attemptId: string): string => `${organisationId}\n${attemptId}`;
export const windowKey = (window: Pick<WindowAmounts, 'organisationId' | 'budgetId' | 'windowStartMs'>): string =>
  `${window.organisationId}\n${window.budgetId}\n${window.windowStartMs}`;

/** An attempt that began and ended in one batch is written once. */
export function byWhatIsWritten({ started, ended }: Pick<Decision, 'started' | 'ended'>): {
  readonly whole: readonly { readonly start: AttemptStart; readonly end: AttemptEnd }[];
  readonly started: readonly AttemptStart[];
  readonly ended: readonly EndOperation[];
} {
  const open = new Map(started.map((start) => [attemptKey(start.payer.organisationId, start.attemptId), start]));
  const whole: { start: AttemptStart; end: AttemptEnd }[] = [];
  const rest: EndOperation[] = [];
  for (const operation of ended) {
    const key = attemptKey(operation.organisationId, operation.attemptId);
    const start = open.get(key);
    if (start === undefined) rest.push(operation);
    else whole.push({ start, end: operation.end });
    open.delete(key);
  }
  return { whole, started: [...open.values()], ended: rest };
}

/** Decides each operation by itself, in order: what one gives back, the next may have. */
export function decide(operations: readonly LedgerOperation[], books: Books): Decision {
  const batch = new Batch(books);
  const results = operations.map((operation) =>
    operation.kind === 'start' ? batch.start(operation.start, operation.enforce) : batch.end(operation),
  );
  return { results, ...batch.writes() };
}

class Batch {
  readonly #books: Books;
  readonly #states = new Map<string, AttemptState>();
  readonly #holds = new Map<string, readonly Hold[]>();
  readonly #changed = new Map<string, WindowAmounts>();
  readonly #started: AttemptStart[] = [];
  readonly #ended: EndOperation[] = [];
  readonly #opened: Hold[] = [];
  readonly #closed: SettledHold[] = [];

  constructor(books: Books) {
    this.#books = books;
  }

  start(start: AttemptStart, enforce: boolean): LedgerResult {
    const key = attemptKey(start.payer.organisationId, start.attemptId);
    if (this.#stateOf(key) !== undefined) return { kind: 'repeated' };
    const budgets = this.#books.budgets.get(key) ?? [];
    const refusal = enforce ? this.#refusal(budgets, start) : null;
    if (refusal !== null) return { kind: 'refused', refusal };
    const holds = budgets.map((budget) => holdOf(budget, start, enforce));
    for (const hold of holds) this.#change(hold, hold.reserved, 0);
    this.#states.set(key, 'reserved');
    this.#holds.set(key, holds);
    this.#opened.push(...holds);
    this.#started.push(start);
    return { kind: 'done' };
  }

  end(operation: EndOperation): LedgerResult {
    const key = attemptKey(operation.organisationId, operation.attemptId);
    const state = this.#stateOf(key);
    if (state === undefined && this.#books.attempts !== null) return { kind: 'missing' };
    if (state !== undefined && state !== 'reserved') return { kind: 'late' };
    for (const hold of this.#holds.get(key) ?? this.#books.holds.get(key) ?? []) {
      const settled = spentOf(hold, operation.end);
      this.#change(hold, -hold.reserved, settled);
      this.#closed.push({ ...hold, settled });
    }
    this.#states.set(key, operation.end.state);
    this.#ended.push(operation);
    return { kind: 'done' };
  }

  writes(): Omit<Decision, 'results'> {
    return {
      started: this.#started,
      ended: this.#ended,
      opened: this.#opened,
      closed: this.#closed,
      windows: [...this.#changed.values()],
    };
  }

  #stateOf(key: string): AttemptState | undefined {
    return this.#states.get(key) ?? this.#books.attempts?.get(key);
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

  #amounts(window: Pick<WindowAmounts, 'organisationId' | 'budgetId' | 'windowStartMs'>): WindowAmounts {
    const key = windowKey(window);
    const { organisationId, budgetId, windowStartMs: startMs } = window;
    return (
      this.#changed.get(key) ??
      this.#books.windows.get(key) ?? { organisationId, budgetId, windowStartMs: startMs, reserved: 0, settled: 0 }
    );
  }

  #change(hold: Hold, reserved: number, settled: number): void {
    const before = this.#amounts(hold);
    const after = { ...before, reserved: before.reserved + reserved, settled: before.settled + settled };
    this.#changed.set(windowKey(hold), after);
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
