import type { BudgetUnit } from './budget.ts';

/** What must hold of the books at every moment, and what each of it promises, in words. */
export const LEDGER_INVARIANTS = {
  I1: 'no hard budget is overspent',
  I2: 'what budgets have spent is the sum of their calls',
  I3: 'a call ends once, in every budget that counts it',
  I4: 'nothing stays set aside for calls of processes that are gone',
  I5: 'what a call used and cost is an amount that can be',
  I6: 'each amount belongs to a call on record, each call to a request',
  I7: 'no call counts for anybody else',
  I8: 'what has ended cannot change, and counts once',
} as const;

export type LedgerInvariant = keyof typeof LEDGER_INVARIANTS;

/** Something in the books that cannot be. */
export interface LedgerFinding {
  readonly rule: LedgerInvariant;
  /** Null: it is about the store as a whole. */
  readonly organisationId: string | null;
  /** The row: `attempt a1`, `budget b1, window from 2026-11-01`. */
  readonly subject: string;
  readonly message: string;
}

/**
 * A call in a hard budget that came to more than was set aside for it, since its server kept to no limit or charged
 * another price. The books agree, and yet the budget may be overspent. Amounts: nano-USD or tokens, by `unit`.
 */
export interface Overcharge {
  readonly organisationId: string;
  readonly attemptId: string;
  /** Null: no client key. */
  readonly keyId: string | null;
  readonly targetId: string;
  readonly model: string;
  readonly budgetId: string;
  readonly unit: BudgetUnit;
  readonly windowStartMs: number;
  readonly reserved: number;
  /** Above `reserved`. */
  readonly settled: number;
}

/** All of them that are on record, however long ago. */
export interface Overcharges {
  /** Each once, however many budgets count it; so in the sums, too. */
  readonly calls: number;
  readonly excessNanoUsd: number;
  readonly excessTokens: number;
  /** One for each call and budget. */
  readonly parts: number;
  /** Of the parts as many as are worth reading. */
  readonly listed: readonly Overcharge[];
}

/** What a look at all of the books came to. */
export interface LedgerVerdict {
  /** Rows that were looked at: calls, their parts in budgets, and windows of budgets. */
  readonly attempts: number;
  readonly parts: number;
  readonly windows: number;
  /** By invariant: the first is of the first that is broken. Of each invariant as many as are worth reading. */
  readonly findings: readonly LedgerFinding[];
  /** Invariants with more findings than are listed. */
  readonly cutShort: ReadonlySet<LedgerInvariant>;
  /** No finding: nobody here decided it. */
  readonly overcharged: Overcharges;
}

/** Calls of this process that the books cannot have yet. */
export interface LedgerBacklog {
  /** Operations in the journal or in memory, which the store has not taken. */
  readonly waiting: number;
  /** Why it takes nothing; null: it does. */
  readonly problem: string | null;
}

/** Reads all of the books; holds up no request. */
export interface LedgerVerification {
  /** Who asks while one runs gets what that one finds. Rejects with StoreUnavailable. */
  verify(): Promise<LedgerVerdict & { readonly backlog: LedgerBacklog }>;
}
