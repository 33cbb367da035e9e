import type { BudgetScope, BudgetUnit, BudgetWindow } from '../../../core/budget.ts';
import type { AttemptEnd, AttemptStart, BudgetRefusal, LedgerOperation, LedgerResult } from '../../../core/ledger.ts';
import type { AttemptState } from './attempt-state.ts';
import { type Part, partsText } from './parts.ts';
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

/** An attempt that is on record. */
export interface KnownAttempt extends Reserved {
  readonly state: AttemptState;
  readonly parts: readonly Part[];
}

/** What an attempt sets aside, in each unit. */
type Reserved = Pick<AttemptStart, 'reservedNanoUsd' | 'reservedTokens'>;

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
  readonly attempts: ReadonlyMap<string, KnownAttempt> | null;
  readonly windows: ReadonlyMap<string, WindowAmounts>;
  /** The batch takes nothing away from any window and asks none for room: they were neither looked up nor locked. */
  readonly onlyAdds: boolean;
}

const NO_BUDGETS: readonly Budget[] = [];

export const NO_BOOKS: Books = {
  budgetsOf: () => NO_BUDGETS,
  attempts: null,
  windows: new Map(),
  onlyAdds: true,
};

type EndOperation = Extract<LedgerOperation, { kind: 'end' }>;

export interface StartedAttempt {
  readonly start: AttemptStart;
  /** Its parts in budgets, as they stand in its row. */
  readonly parts: string | null;
}

export interface WholeAttempt extends StartedAttempt {
  readonly end: AttemptEnd;
}

/** What to write, and what to tell whoever asked. What begins and ends in the batch is written once, as `whole`. */
export interface Decision {
  /** One an operation. Those of attempts that were not looked up are what they are if the rows agree. */
  readonly results: LedgerResult[];
  readonly whole: readonly WholeAttempt[];
  readonly started: readonly StartedAttempt[];
  readonly ended: readonly EndOperation[];
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
  readonly list: PartList;
}

/** The parts of all attempts that begin in the same windows of the same budgets. */
interface PartList {
  readonly parts: readonly CountedPart[];
  readonly text: string | null;
  readonly enforced: boolean;
  /** It holds for attempts that begin from then, and before then. */
  readonly fromMs: number;
  readonly untilMs: number;
}

interface CountedPart extends Part {
  /** Of its window: by how much the batch changes it. */
  readonly window: ChangedWindow;
}

const NO_PARTS: PartList = { parts: [], text: null, enforced: false, fromMs: 0, untilMs: Number.POSITIVE_INFINITY };

class Batch {
  readonly #books: Books;
  readonly #seen = new Map<string, Seen>();
  /** By how much. */
  readonly #changed = new Map<string, ChangedWindow>();
  /** Nearly always the same for calls of the same key. */
  readonly #lists = new Map<readonly Budget[], PartList>();
  readonly #whole: WholeAttempt[] = [];
  readonly #ended: EndOperation[] = [];

  constructor(books: Books) {
    this.#books = books;
  }

  start(start: AttemptStart, enforce: boolean): LedgerResult {
    const key = attemptKey(start.payer.organisationId, start.attemptId);
    if (this.#isKnown(key)) return { kind: 'repeated' };
    const budgets = this.#books.budgetsOf(start);
    const refusal = enforce ? this.#refusal(budgets, start) : null;
    if (refusal !== null) return { kind: 'refused', refusal };
    const list = budgets.length === 0 ? NO_PARTS : this.#listOf(budgets, start, enforce);
    for (const { window, unit } of list.parts) window.reserved += reservedIn(unit, start);
    this.#seen.set(key, { state: 'reserved', start, list });
    return DONE;
  }

  end(operation: EndOperation): LedgerResult {
    const { organisationId, attemptId, end } = operation;
    const key = attemptKey(organisationId, attemptId);
    const seen = this.#seen.get(key);
    const known = seen === undefined ? this.#books.attempts?.get(key) : undefined;
    const state = seen?.state ?? known?.state;
    if (state === undefined && this.#books.attempts !== null) return { kind: 'missing' };
    if (state !== undefined && state !== 'reserved') return { kind: 'late' };
    if (seen === undefined || seen.start === null) {
      if (known !== undefined) this.#close(this.#countedParts(organisationId, known.parts), known, end);
      this.#ended.push(operation);
      this.#seen.set(key, { state: end.state, start: null, list: NO_PARTS });
      return DONE;
    }
    this.#close(seen.list.parts, seen.start, end);
    this.#whole.push({ start: seen.start, parts: seen.list.text, end });
    seen.state = end.state;
    seen.start = null;
    return DONE;
  }

  writes(): Omit<Decision, 'results'> {
    const started: StartedAttempt[] = [];
    for (const { start, list } of this.#seen.values()) if (start !== null) started.push({ start, parts: list.text });
    return {
      whole: this.#whole,
      started,
      ended: this.#ended,
      windows: [...this.#changed.keys()].sort().map((key) => this.#changed.get(key) as WindowAmounts),
    };
  }

  #listOf(budgets: readonly Budget[], { startedAtMs }: AttemptStart, enforced: boolean): PartList {
    const known = this.#lists.get(budgets);
    if (known?.enforced === enforced && known.fromMs <= startedAtMs && startedAtMs < known.untilMs) return known;
    let [fromMs, untilMs] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const parts = budgets.map(({ organisationId, budgetId, unit, window, hard }): CountedPart => {
      const startMs = windowStartMs(window, startedAtMs);
      fromMs = Math.max(fromMs, startMs);
      untilMs = Math.min(untilMs, windowEndMs(window, startMs) ?? untilMs);
      const part = { budgetId, unit, windowStartMs: startMs, enforced: enforced && hard };
      return { ...part, window: this.#changedWindow(organisationId, part) };
    });
    const list = { parts, text: partsText(parts), enforced, fromMs, untilMs };
    this.#lists.set(budgets, list);
    return list;
  }

  #countedParts(organisationId: string, parts: readonly Part[]): readonly CountedPart[] {
    return parts.map((part) => ({ ...part, window: this.#changedWindow(organisationId, part) }));
  }

  #close(parts: readonly CountedPart[], reserved: Reserved, end: AttemptEnd): void {
    for (const { window, unit } of parts) {
      const setAside = reservedIn(unit, reserved);
      window.reserved -= setAside;
      window.settled += spentOf(unit, setAside, end);
    }
  }

  #isKnown(key: string): boolean {
    return this.#seen.has(key) || this.#books.attempts?.has(key) === true;
  }

  #refusal(budgets: readonly Budget[], start: AttemptStart): BudgetRefusal | null {
    for (const budget of budgets) {
      if (!budget.hard) continue;
      const { budgetId, scope, scopeId, window, unit, limit } = budget;
      const startMs = windowStartMs(window, start.startedAtMs);
      const asked = reservedIn(unit, start);
      const { reserved, settled } = this.#amounts({ ...budget, windowStartMs: startMs });
      if (settled + reserved + asked <= limit) continue;
      const found = { budgetId, scope, scopeId, window, unit, limit, spent: settled, reserved, asked };
      return { ...found, resetsAtMs: windowEndMs(window, startMs) };
    }
    return null;
  }

  #amounts(window: Window): Amounts {
    const key = windowKey(window);
    const [before, changed] = [this.#books.windows.get(key) ?? NOTHING, this.#changed.get(key) ?? NOTHING];
    // A sum too high to be told: what is given back need not make room in it.
    if (Math.max(before.reserved, before.settled) >= Number.MAX_SAFE_INTEGER) return before;
    return { reserved: before.reserved + changed.reserved, settled: before.settled + changed.settled };
  }

  #changedWindow(organisationId: string, { budgetId, windowStartMs: startMs }: Part): ChangedWindow {
    const key = windowKey({ organisationId, budgetId, windowStartMs: startMs });
    let window = this.#changed.get(key);
    if (window === undefined) {
      window = { organisationId, budgetId, windowStartMs: startMs, reserved: 0, settled: 0 };
      this.#changed.set(key, window);
    }
    return window;
  }
}

const reservedIn = (unit: BudgetUnit, { reservedNanoUsd, reservedTokens }: Reserved): number =>
  unit === 'usd' ? reservedNanoUsd : reservedTokens;

/** What the budget pays. Where nobody can say, what was set aside: a price that is not known is not 0. */
function spentOf(unit: BudgetUnit, setAside: number, end: AttemptEnd): number {
  if (end.state === 'voided') return 0;
  const tokens = end.inputTokens + end.outputTokens;
  const seen = unit === 'usd' ? end.costNanoUsd : end.state === 'unknown' && tokens === 0 ? null : tokens;
  if (seen === null) return setAside;
  return end.state === 'unknown' && setAside > 0 ? Math.min(setAside, seen) : seen;
}
