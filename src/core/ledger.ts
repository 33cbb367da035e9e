import type { BudgetScope, BudgetUnit, BudgetWindow } from './budget.ts';
import type { FailureKind } from './failure.ts';
import type { CostSource } from './price.ts';
import type { Operation } from './request.ts';
import type { AdapterKind, Place, TargetId } from './target.ts';

/** Whose a request is. */
export interface Payer {
  readonly organisationId: string;
  readonly projectId: string;
  /** Null: no client key exists yet, a single user. */
  readonly keyId: string | null;
}

/** Who pays where nobody has set up tenants; both exist in every store. */
export const DEFAULT_PAYER: Payer = { organisationId: 'default', projectId: 'default', keyId: null };

/** One upstream call as it begins. Money: integer nano-USD, ≥ 0. */
export interface AttemptStart {
  /**
   * Unique for ever; a second start or end of the same id changes nothing. Best a UUIDv7: rows of one time then lie side
   * by side, and a commit writes a third less.
   */
  readonly attemptId: string;
  readonly requestId: string;
  /** Of the request's calls, ≥ 1. */
  readonly attempt: number;
  readonly payer: Payer;
  readonly targetId: TargetId;
  readonly adapterKind: AdapterKind;
  readonly place: Place;
  readonly model: string;
  readonly operation: Operation;
  readonly stream: boolean;
  /** Wall clock, ms since the Unix epoch: says which day it belongs to. */
  readonly startedAtMs: number;
  /** Upper bounds of what it may cost. 0: nothing is set aside. */
  readonly reservedNanoUsd: number;
  readonly reservedTokens: number;
}

/** Tokens as they are priced; all integers ≥ 0. The total of an answer is input + output: the other classes are parts of these. */
export interface BilledTokens {
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly imageTokens: number;
  readonly audioInputTokens: number;
  readonly audioOutputTokens: number;
}

export const NO_TOKENS: BilledTokens = {
  inputTokens: 0,
  cachedInputTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0,
  imageTokens: 0,
  audioInputTokens: 0,
  audioOutputTokens: 0,
};

/** `settled`: what it used is known or well estimated · `voided`: nothing was used · `unknown`: nobody can say. */
export type EndState = 'settled' | 'voided' | 'unknown';
export type ClientOutcome = 'served' | 'cut' | 'abandoned' | 'failed';

/** One upstream call as it ended. */
export interface AttemptEnd extends BilledTokens {
  readonly state: EndState;
  /** Wall clock, ms since the Unix epoch. */
  readonly endedAtMs: number;
  /** HTTP status of the upstream; null: there was none. */
  readonly status: number | null;
  readonly failure: FailureKind | null;
  readonly clientOutcome: ClientOutcome;
  /** Null: its price is not known. Of an `unknown` one: what was seen of it. */
  readonly costNanoUsd: number | null;
  readonly costSource: CostSource;
  /** What a cloud would have charged above this; 0: nothing known. */
  readonly savedNanoUsd: number;
  /** Tokens were counted here, not by the server. */
  readonly estimated: boolean;
}

/** The end of an attempt that nobody saw: whoever made the call is dead. It is billed what was set aside for it. */
export function attemptUnknown(nowMs: number): AttemptEnd {
  return {
    ...NO_TOKENS,
    state: 'unknown',
    endedAtMs: nowMs,
    status: null,
    failure: null,
    clientOutcome: 'cut',
    costNanoUsd: null,
    costSource: 'unknown',
    savedNanoUsd: 0,
    estimated: true,
  };
}

/** One attempt on record. */
export interface LedgerEntry {
  /** Once; later calls change nothing. Resolves when it cannot be lost any more, one group commit (5 ms) away. Never rejects. */
  end(end: AttemptEnd): Promise<void>;
}

/** What every upstream call used and cost, on record before the client sees the end of its answer. */
export interface Ledger {
  /**
   * For payers with a hard budget: waited for before the call is made. Sets the amounts aside in all budgets that
   * apply, or in none. Rejects with BudgetExceeded, or with LedgerUnavailable while nobody can tell.
   */
  reserve(start: AttemptStart): Promise<LedgerEntry>;
  /** For all others: in the journal with the next group commit; never refused. */
  begin(start: AttemptStart): LedgerEntry;
  health(): LedgerHealth;
  /** Waits until all that was handed in cannot be lost, and is in the store if that takes anything now. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface LedgerHealth {
  /** `spilling`: the store does not take anything, the journal grows · `memory`: nor does the journal. */
  readonly state: 'ok' | 'spilling' | 'memory';
  /** Why the store takes nothing; null: it does. */
  readonly problem: string | null;
  /** In the journal or in memory until the store takes them; a second's worth of them is usual. */
  readonly waiting: number;
  readonly journalBytes: number;
  /** Ends that came for an attempt that had ended already: they changed nothing. */
  readonly lateEnds: number;
  /** Could be kept nowhere: journal and memory were full, or the ledger was closed. */
  readonly lost: number;
  /** Attempts of processes that died, resolved to `unknown`. */
  readonly orphansResolved: number;
}

/** The budget that refused. Amounts: nano-USD or tokens, by `unit`. */
export interface BudgetRefusal {
  readonly budgetId: string;
  readonly scope: BudgetScope;
  readonly scopeId: string;
  readonly window: BudgetWindow;
  readonly unit: BudgetUnit;
  readonly limit: number;
  /** Spent in this window. */
  readonly spent: number;
  /** Set aside for calls that run. */
  readonly reserved: number;
  readonly asked: number;
  /** Wall clock, ms since the Unix epoch; null: never. */
  readonly resetsAtMs: number | null;
}

/** A hard budget has no room for the call. */
export class BudgetExceeded extends Error {
  override readonly name = 'BudgetExceeded';
  readonly refusal: BudgetRefusal;

  constructor(refusal: BudgetRefusal) {
    super(`The budget ${refusal.budgetId} has no room for a call.`);
    this.refusal = refusal;
  }
}

/** Nobody can tell whether a hard budget has room: the store takes nothing now. */
export class LedgerUnavailable extends Error {
  override readonly name = 'LedgerUnavailable';
}

/** Of the store: it takes nothing now, and may later. `kind` says what a person would look at. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly kind: 'locked' | 'full' | 'gone' | 'failing';

  constructor(kind: StoreUnavailable['kind'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** It takes nothing more from this process, which ends. */
export class StoreClosed extends StoreUnavailable {
  constructor() {
    super('failing', 'the store is closed');
  }
}

/** This process was taken for dead, and its open attempts were resolved: it goes on under another name. */
export class OwnerFenced extends Error {
  override readonly name = 'OwnerFenced';
}

/** What a ledger asks its store to write; plain data, fit for files and threads. */
export type LedgerOperation =
  | {
      readonly kind: 'start';
      readonly start: AttemptStart /** Refused where a hard budget has no room. */;
      readonly enforce: boolean;
    }
  | { readonly kind: 'end'; readonly organisationId: string; readonly attemptId: string; readonly end: AttemptEnd };

/** Operations in order: a list of them, or one that was encoded before (`EncodedOperations`). */
export interface LedgerBatch extends Iterable<LedgerOperation> {
  readonly length: number;
}

/**
 * `done` · `repeated`: the store has that start already · `late`: the attempt had ended before · `missing`: an end
 * without its start · `refused`: by a budget, nothing was written · `invalid`: the store can never take it.
 */
export type LedgerResult =
  | { readonly kind: 'done' | 'repeated' | 'late' | 'missing' }
  | { readonly kind: 'refused'; readonly refusal: BudgetRefusal }
  | { readonly kind: 'invalid'; readonly message: string };

/** A process that has, or had, attempts open. */
export interface LedgerOwner {
  readonly ownerId: string;
  /** Goes up with every commit of a process that lives. Compared, never read as a time: clocks step. */
  readonly beat: number;
  readonly openAttempts: number;
  readonly alive: boolean;
}

/** Where a ledger is kept. Everything rejects with StoreUnavailable while it takes nothing. */
export interface LedgerStore {
  /**
   * All of it in one durable transaction, in order, each operation decided by itself; one result for each. Says with
   * the owner's beat that the process lives; rejects with OwnerFenced when another one thought otherwise.
   */
  commit(ownerId: string, operations: LedgerBatch): Promise<readonly LedgerResult[]>;
  /** Those with attempts open, the caller included. */
  owners(): Promise<readonly LedgerOwner[]>;
  /** Declares the owner dead and resolves its open attempts to `unknown`; how many it were. */
  resolveOrphans(ownerId: string, nowMs: number): Promise<number>;
}
