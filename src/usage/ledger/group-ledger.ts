import type { Clock } from '../../core/clock.ts';
import {
  type AttemptEnd,
  type AttemptStart,
  BudgetExceeded,
  type Ledger,
  type LedgerEntry,
  type LedgerHealth,
  type LedgerOperation,
  type LedgerResult,
  type LedgerStore,
  LedgerUnavailable,
  NO_TOKENS,
  OwnerFenced,
  StoreUnavailable,
} from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import { Turns } from '../../core/turns.ts';
import { type Fate, fromTheBeginning, needsStore, type Pending } from './pending.ts';
import { ReserveStore } from './reserve-store.ts';

/** Between two commits at the most busy; also how long a start waits for company. */
const COMMIT_EVERY_MS = 5;
const MOST_AT_ONCE = 1_000;
/** How often the store is told that we live while attempts are open; dead is who is silent for three of these. */
export const BEAT_EVERY_MS = 2_000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;

export interface GroupLedgerOptions {
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where usage is kept while the store takes none. It must exist. */
  readonly spillFolder: string;
  /** A new name for this process, never used before. */
  readonly newOwnerId: () => string;
  /** > 0. Default 64 MB. */
  readonly mostSpillBytes?: number;
  /** How long a call under a hard budget waits for a store that takes nothing, ms, ≥ 0. Default 2,000. */
  readonly reserveWaitMs?: number;
}

const DEFAULTS = { mostSpillBytes: 64 * 1024 * 1024, reserveWaitMs: 2_000 };

/** Writes what came within a few milliseconds in one transaction, and keeps it elsewhere while the store takes nothing. */
export class GroupLedger implements Ledger {
  readonly #options: GroupLedgerOptions & typeof DEFAULTS;
  readonly #reserve: ReserveStore;
  /** One thing at a time is said to the store. */
  readonly #turns = new Turns();
  #ownerId: string;
  readonly #names = new Set<string>();
  #queue: Pending[] = [];
  /** Hard reservations that wait for the store to come back. */
  #held: { readonly pending: Pending; readonly untilMs: number }[] = [];
  #problem: string | null = null;
  #retryMs = FIRST_RETRY_MS;
  #flushAtMs: number | null = null;
  #cancelFlush: () => void = () => undefined;
  #lastCommitMs = Number.NEGATIVE_INFINITY;
  #pumping: Promise<void> | null = null;
  #cancelRetry: () => void = () => undefined;
  #cancelBeat: (() => void) | null = null;
  #open = 0;
  #lateEnds = 0;
  #orphansResolved = 0;
  #closed = false;

  constructor(options: GroupLedgerOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#ownerId = this.#newName();
    const { spillFolder, mostSpillBytes, logger } = this.#options;
    this.#reserve = new ReserveStore(spillFolder, this.#ownerId, mostSpillBytes, logger);
  }

  /** As the store knows this process now. */
  get ownerId(): string {
    return this.#ownerId;
  }

  /** Also under the names that it had before it was taken for dead. */
  isOwn(ownerId: string): boolean {
    return this.#names.has(ownerId);
  }

  async reserve(start: AttemptStart): Promise<LedgerEntry> {
    const fate = await this.#handIn({ kind: 'start', start, enforce: true }, start);
    if (fate.kind === 'refused') throw new BudgetExceeded(fate.refusal);
    if (fate.kind === 'unavailable') throw new LedgerUnavailable(unavailableText(fate.reason));
    if (fate.kind === 'invalid') throw new LedgerUnavailable(`the ledger cannot take this call: ${fate.message}`);
    return this.#entry(start);
  }

  begin(start: AttemptStart): LedgerEntry {
    this.#queue.push({ operation: { kind: 'start', start, enforce: false }, start, answer: null });
    this.#flushWithin(COMMIT_EVERY_MS);
    return this.#entry(start);
  }

  health(): LedgerHealth {
    const { waiting, bytes, lost, fileProblem } = this.#reserve;
    return {
      state: this.#problem === null ? 'ok' : fileProblem === null ? 'spilling' : 'memory',
      problem: this.#problem,
      waiting,
      spillBytes: bytes,
      lateEnds: this.#lateEnds,
      lost,
      orphansResolved: this.#orphansResolved,
    };
  }

  async flush(): Promise<void> {
    while (this.#queue.length > 0 || this.#pumping !== null) {
      await (this.#pumping ?? this.#pump());
    }
  }

  /** Writes what is left. What the store does not take stays in the file, for the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    if (this.#problem !== null) await this.#retry();
    this.#cancelFlush();
    this.#cancelRetry();
    this.#cancelBeat?.();
    this.#failHeld('the ledger is closed');
    await this.flush();
    await this.#reserve.close();
    if (this.#problem === null) await this.resolveOrphans(this.#ownerId).catch(() => undefined);
  }

  /** Operations of another process, found after its death. Rejects when the store does not take them. */
  async takeOver(operations: readonly LedgerOperation[]): Promise<void> {
    await this.#turns.run(async () => this.#countLate(await this.#commitAsOwner(operations)));
  }

  /** Ends what a dead process left open. */
  async resolveOrphans(ownerId: string): Promise<void> {
    for (;;) {
      const count = await this.#turns.run(() =>
        this.#options.store.resolveOrphans(ownerId, this.#options.clock.wallMs()),
      );
      this.#orphansResolved += count;
      if (count === 0) return;
    }
  }

  #entry(start: AttemptStart): LedgerEntry {
    this.#open++;
    this.#beatSoon();
    let ended: Promise<void> | null = null;
    return {
      end: (end) => {
        ended ??= this.#end(start, end);
        return ended;
      },
    };
  }

  async #end(start: AttemptStart, end: AttemptEnd): Promise<void> {
    this.#open--;
    const { attemptId, payer } = start;
    await this.#handIn({ kind: 'end', organisationId: payer.organisationId, attemptId, end }, start);
  }

  #handIn(operation: LedgerOperation, start: AttemptStart): Promise<Fate> {
    return new Promise((answer) => {
      this.#queue.push({ operation, start, answer });
      this.#flushWithin(0);
    });
  }

  /** Somebody waits: at once, but not before a few milliseconds have passed since the last commit began. */
  #flushWithin(patienceMs: number): void {
    if (this.#pumping !== null) return;
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const atMs = Math.max(nowMs + patienceMs, this.#lastCommitMs + COMMIT_EVERY_MS);
    if (this.#flushAtMs !== null && this.#flushAtMs <= atMs) return;
    this.#cancelFlush();
    this.#flushAtMs = atMs;
    this.#cancelFlush = clock.after(Math.max(0, atMs - nowMs), () => void this.#pump());
  }

  #pump(): Promise<void> {
    this.#cancelFlush();
    this.#flushAtMs = null;
    this.#pumping ??= this.#writeQueue().finally(() => {
      this.#pumping = null;
      if (this.#queue.length > 0) this.#flushWithin(0);
    });
    return this.#pumping;
  }

  async #writeQueue(): Promise<void> {
    this.#lastCommitMs = this.#options.clock.nowMs();
    const batch = this.#queue.splice(0, MOST_AT_ONCE);
    await this.#turns.run(() => (this.#problem === null ? this.#commit(batch) : this.#keep(batch)));
  }

  async #commit(batch: readonly Pending[]): Promise<void> {
    try {
      const results = await this.#commitAsOwner(batch.map(({ operation }) => operation));
      await this.#settle(batch, results);
    } catch (error) {
      if (error instanceof StoreUnavailable) {
        this.#enterTrouble(error);
        return this.#keep(batch);
      }
      // Something in it cannot be written: the others must not suffer from it.
      if (batch.length > 1) {
        for (const pending of batch) await this.#commit([pending]);
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      for (const pending of batch) this.#tell(pending, { kind: 'invalid', message });
    }
  }

  async #commitAsOwner(operations: readonly LedgerOperation[]): Promise<readonly LedgerResult[]> {
    const { store, logger } = this.#options;
    for (;;) {
      try {
        return await store.commit(this.#ownerId, operations);
      } catch (error) {
        if (!(error instanceof OwnerFenced)) throw error;
        logger.warn(
          { owner: this.#ownerId },
          'another process took this one for dead; its open calls count as unknown',
        );
        this.#ownerId = this.#newName();
      }
    }
  }

  /** Tells everybody only once all of it is written: an end is a promise for those before it, too. */
  async #settle(batch: readonly Pending[], results: readonly LedgerResult[]): Promise<void> {
    const missing = batch.filter((_, index) => results[index]?.kind === 'missing');
    // Their starts did not get there: they are told from the beginning.
    if (missing.length > 0) this.#countLate(await this.#commitAsOwner(missing.flatMap(fromTheBeginning)));
    for (const [index, pending] of batch.entries()) {
      const result = results[index];
      if (result !== undefined) this.#tell(pending, result.kind === 'missing' ? { kind: 'done' } : result);
    }
  }

  #tell(pending: Pending, fate: Fate): void {
    if (fate.kind === 'late') this.#lateEnds++;
    if (fate.kind === 'invalid') {
      const { attemptId } = pending.start;
      this.#options.logger.error({ attempt: attemptId, problem: fate.message }, 'the ledger cannot take this call');
    }
    pending.answer?.(fate);
  }

  #countLate(results: readonly LedgerResult[]): void {
    this.#lateEnds += results.filter(({ kind }) => kind === 'late').length;
  }

  /** In the file; what only the store can decide waits for it. */
  async #keep(batch: readonly Pending[]): Promise<void> {
    const untilMs = this.#options.clock.nowMs() + this.#options.reserveWaitMs;
    for (const pending of batch.filter(needsStore)) this.#held.push({ pending, untilMs });
    const rest = batch.filter((pending) => !needsStore(pending));
    if (rest.length === 0) return;
    await this.#reserve.keep(rest.flatMap(fromTheBeginning));
    for (const pending of rest) this.#tell(pending, { kind: 'kept' });
  }

  #enterTrouble(error: StoreUnavailable): void {
    this.#problem = `${error.kind}: ${error.message}`;
    this.#options.logger.error({ problem: this.#problem }, 'the ledger takes nothing now; usage is kept in a file');
    this.#retryMs = FIRST_RETRY_MS;
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => void this.#retry());
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
  }

  async #retry(): Promise<void> {
    await this.#turns.run(async () => {
      try {
        await this.#reserve.handOn(async (operations) => this.#countLate(await this.#commitAsOwner(operations)));
        // Nothing was kept: whether the store takes anything is still to be seen.
        await this.#commitAsOwner([]);
        this.#leaveTrouble();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) {
          this.#options.logger.error({ problem: String(error) }, 'kept usage cannot be handed to the ledger');
        }
        this.#giveUpHeld();
        this.#retryLater();
      }
    });
  }

  #leaveTrouble(): void {
    this.#problem = null;
    this.#options.logger.info({}, 'the ledger takes usage again; what was kept is in it');
    const held = this.#held.splice(0);
    this.#queue.unshift(...held.map(({ pending }) => pending));
    if (this.#queue.length > 0) this.#flushWithin(0);
  }

  #giveUpHeld(): void {
    const nowMs = this.#options.clock.nowMs();
    const over = this.#held.filter(({ untilMs }) => untilMs <= nowMs);
    if (over.length === 0) return;
    this.#held = this.#held.filter(({ untilMs }) => untilMs > nowMs);
    this.#fail(over.map(({ pending }) => pending));
  }

  #failHeld(reason: string): void {
    this.#fail(
      this.#held.splice(0).map(({ pending }) => pending),
      reason,
    );
  }

  #fail(all: readonly Pending[], reason = this.#problem ?? 'no reason is known'): void {
    for (const { start, answer } of all) {
      answer?.({ kind: 'unavailable', reason });
      // The store may have taken it before the connection broke: nothing may stay set aside for a call never made.
      this.#queue.push({ operation: voidOf(start, this.#options.clock.wallMs()), start, answer: null });
    }
    this.#flushWithin(COMMIT_EVERY_MS);
  }

  #beatSoon(): void {
    if (this.#cancelBeat !== null || this.#closed) return;
    this.#cancelBeat = this.#options.clock.after(BEAT_EVERY_MS, () => {
      this.#cancelBeat = null;
      if (this.#open > 0) void this.#beat();
    });
  }

  async #beat(): Promise<void> {
    this.#beatSoon();
    const { clock } = this.#options;
    if (this.#problem !== null || clock.nowMs() - this.#lastCommitMs < BEAT_EVERY_MS / 2) return;
    this.#lastCommitMs = clock.nowMs();
    await this.#turns.run(() => this.#commit([]));
  }

  #newName(): string {
    const name = this.#options.newOwnerId();
    this.#names.add(name);
    return name;
  }
}

function unavailableText(reason: string): string {
  return `this key has a hard budget, and whether it has room cannot be told now (${reason}); try again later`;
}

function voidOf(start: AttemptStart, nowMs: number): LedgerOperation {
  const end: AttemptEnd = {
    ...NO_TOKENS,
    state: 'voided',
    endedAtMs: nowMs,
    status: null,
    failure: null,
    clientOutcome: 'failed',
    costNanoUsd: 0,
    costSource: 'unknown',
    savedNanoUsd: 0,
    estimated: false,
  };
  return { kind: 'end', organisationId: start.payer.organisationId, attemptId: start.attemptId, end };
}
