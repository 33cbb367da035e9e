import type { BudgetScope, BudgetUnit, BudgetWindow } from '../core/budget.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';

/** How a budget stands. Amounts: nano-USD or tokens, by `unit`. */
export interface BudgetReading {
  readonly organisationId: string;
  readonly budgetId: string;
  readonly scope: BudgetScope;
  readonly scopeId: string;
  readonly unit: BudgetUnit;
  readonly window: BudgetWindow;
  readonly limit: number;
  readonly hard: boolean;
  /** Spent in the window that runs. */
  readonly settled: number;
  /** ms since the Unix epoch; null: never. */
  readonly resetsAtMs: number | null;
}

export interface BudgetWatchParts {
  readonly read: () => Promise<readonly BudgetReading[]>;
  /** The name of a key, which others may have too; null: no key has this id. */
  readonly keyName: (id: string) => string | null;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How much of its limit a budget has used. */
export interface BudgetUsed {
  readonly budget: BudgetReading;
  readonly ratio: number;
  /** Null: it is not of a key. */
  readonly keyName: string | null;
}

/** Shares of a limit that somebody should hear of. */
const THRESHOLDS = [0.5, 0.8, 1] as const;
const EVERY_MS = 10_000;
/** Series of the metric: those that have used most. */
const MOST_SHOWN = 100;

/**
 * Looks at all budgets every ten seconds, hard and soft ones, and says once for each window when one has used 50, 80 and
 * 100 % of its limit. A restart says it once more.
 */
export class BudgetWatch {
  readonly #parts: BudgetWatchParts;
  #readings: readonly BudgetReading[] = [];
  /** By budget: the window, and the highest threshold that was said of it. */
  readonly #said = new Map<string, { readonly window: number | null; readonly share: number }>();
  #cancel: (() => void) | null = null;
  #looking: Promise<void> | null = null;
  #stopped = false;

  constructor(parts: BudgetWatchParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#stopped || this.#cancel !== null) return;
    this.#cancel = this.#parts.clock.after(EVERY_MS, () => {
      this.#cancel = null;
      void this.look().then(() => this.start());
    });
  }

  /** Waits for a look that is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#looking;
  }

  /** Looks now. Never rejects: while the store does not answer, what was read last is shown. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** Of the budgets that have used most of their limit, the highest first, as read last. */
  used(): readonly BudgetUsed[] {
    return this.#readings
      .map((budget) => ({ budget, ratio: usedRatio(budget) }))
      .sort((one, other) => other.ratio - one.ratio)
      .slice(0, MOST_SHOWN)
      .map(({ budget, ratio }) => ({ budget, ratio, keyName: this.#keyNameOf(budget) }));
  }

  async #look(): Promise<void> {
    try {
      this.#readings = await this.#parts.read();
    } catch {
      // The store's own part says so.
      return;
    }
    const known = new Set(this.#readings.map(({ budgetId }) => budgetId));
    for (const id of this.#said.keys()) if (!known.has(id)) this.#said.delete(id);
    for (const reading of this.#readings) this.#warn(reading);
  }

  #warn(budget: BudgetReading): void {
    const { budgetId, resetsAtMs } = budget;
    const ratio = usedRatio(budget);
    const share = THRESHOLDS.findLast((threshold) => ratio >= threshold) ?? 0;
    const said = this.#said.get(budgetId);
    // A limit that was raised begins anew, as a window does.
    this.#said.set(budgetId, { window: resetsAtMs, share });
    if (share === 0 || (said?.window === resetsAtMs && share <= said.share)) return;
    const { organisationId, scope, scopeId, unit, window, limit, hard, settled } = budget;
    const keyName = this.#keyNameOf(budget);
    const fields = {
      ...{ budget: budgetId, organisation: organisationId, scope },
      ...(keyName === null ? { name: scopeId } : { name: keyName, key: scopeId }),
      ...{ unit: unit === 'usd' ? 'nano_usd' : unit, window, limit, spent: settled, hard },
      ...(resetsAtMs === null ? {} : { resets_at: new Date(resetsAtMs).toISOString() }),
    };
    this.#parts.logger.warn(fields, `a budget has used ${share * 100} % of its limit`);
  }

  #keyNameOf({ scope, scopeId }: BudgetReading): string | null {
    return scope === 'key' ? this.#parts.keyName(scopeId) : null;
  }
}

function usedRatio({ limit, settled }: BudgetReading): number {
  if (limit === 0) return settled === 0 ? 0 : 1;
  return settled / limit;
}
