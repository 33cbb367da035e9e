import type { Clock } from '../../core/clock.ts';
import type { FileLocks } from '../../core/file-lock.ts';
import {
  type AttemptEnd,
  type AttemptStart,
  BudgetExceeded,
  type Ledger,
  type LedgerBatch,
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
import { type OpenAttempt, OpenAttempts, startOperation } from './attempts.ts';
import { Batches } from './batches.ts';
import { type Carry, Journal } from './journal.ts';
import { type Fate, forJournal, fromTheBeginning, needsStore, type Pending } from './pending.ts';

/**
 * How long a start may wait for its end, and how often those are looked for that did: nobody waits for a start, and a
 * call that ends meanwhile is written once, as a whole. A process that is killed leaves no trace of a call that it made
 * so shortly before and that nobody has an answer of.
 */
const START_PATIENCE_MS = 100;
const LOOK_FOR_STARTS_MS = START_PATIENCE_MS / 2;
/** How long what nobody waits for waits for company. */
const PATIENCE_MS = 5;
/** How far the store may be behind the journal. */
const APPLY_EVERY_MS = 1_000;
const IS_CLOSED = 'the gateway is shutting down';
/** How often the store is told that we live while it knows of open attempts; dead is who is silent for three of these. */
export const BEAT_EVERY_MS = 2_000;
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 1_000;

export interface GroupLedgerOptions {
  readonly store: LedgerStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where usage is kept until the store has it. It must exist, on a disk that outlives the process. */
  readonly journalFolder: string;
  /** Say which other processes with journals in that folder live. */
  readonly locks: FileLocks;
  /** A new name for this process, never used before. */
  readonly newOwnerId: () => string;
  /** > 0. Default 64 MB. */
  readonly mostJournalBytes?: number;
  /** How long a call under a hard budget waits for a store that takes nothing, ms, ≥ 0. Default 2,000. */
  readonly reserveWaitMs?: number;
}

const DEFAULTS = { mostJournalBytes: 64 * 1024 * 1024, reserveWaitMs: 2_000 };

/**
 * Calls under a hard budget go to the store at once, since it decides them. All others go to a journal on the disk, in
 * group commits, and from there to the store, many at once.
 */
export class GroupLedger implements Ledger {
  readonly #options: Omit<GroupLedgerOptions, 'locks'> & typeof DEFAULTS;
  readonly #journal: Journal;
  readonly #attempts = new OpenAttempts();
  /** Those that are on record nowhere yet, oldest first. */
  readonly #young = new Set<OpenAttempt>();
  readonly #journaling: Batches<Pending>;
  readonly #committing: Batches<Pending>;
  /** One thing at a time is said to the store. */
  readonly #turns = new Turns();
  /** The journal is handed on by one at a time. */
  readonly #handingOn = new Turns();
  #ownerId: string;
  readonly #names = new Set<string>();
  /** Hard reservations that wait for the store to come back. */
  #held: { readonly pending: Pending; readonly untilMs: number }[] = [];
  #problem: string | null = null;
  /** Of the latest trouble; kept when it is over, for those who waited until then. */
  #troubleKind: StoreUnavailable['kind'] | null = null;
  #retryMs = FIRST_RETRY_MS;
  #cancelRetry: () => void = () => undefined;
  #cancelBeat: (() => void) | null = null;
  #cancelApply: (() => void) | null = null;
  #cancelStarts: (() => void) | null = null;
  #lastCommitMs = Number.NEGATIVE_INFINITY;
  #lateEnds = 0;
  /** Calls that no store could take, or whose start it did not have. */
  #refused = 0;
  #lastRefused = '';
  #orphansResolved = 0;
  #closed = false;
  /** What comes now is too late to be written. */
  #over = false;

  constructor(options: Omit<GroupLedgerOptions, 'locks'>) {
    this.#options = { ...DEFAULTS, ...options };
    const { journalFolder, mostJournalBytes, logger, clock } = this.#options;
    this.#ownerId = this.#newName();
    this.#journal = new Journal(journalFolder, this.#ownerId, mostJournalBytes, logger);
    const keep = (batch: readonly Pending[], error: unknown): void => this.#keepUnforeseen(batch, error);
    this.#journaling = new Batches(clock, (batch) => this.#writeToJournal(batch), keep);
    this.#committing = new Batches(clock, (batch) => this.#writeToStore(batch), keep);
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
    if (this.#over) throw new LedgerUnavailable(unavailableText(IS_CLOSED));
    const attempt: OpenAttempt = { start, beganAtMs: this.#options.clock.nowMs(), place: 'store' };
    const fate = await new Promise<Fate>((answer) => {
      this.#committing.push({ operation: { kind: 'start', start, enforce: true }, attempt, answer }, 0);
    });
    if (fate.kind === 'refused') throw new BudgetExceeded(fate.refusal);
    if (fate.kind === 'unavailable') throw new LedgerUnavailable(unavailableText(fate.reason));
    if (fate.kind === 'invalid') throw new LedgerUnavailable(`The ledger cannot take this call: ${fate.message}`);
    this.#follow(attempt);
    return this.#entry(attempt);
  }

  begin(start: AttemptStart): LedgerEntry {
    const attempt: OpenAttempt = { start, beganAtMs: this.#options.clock.nowMs(), place: 'nowhere' };
    this.#young.add(attempt);
    this.#lookForStarts();
    return this.#entry(attempt);
  }

  health(): LedgerHealth {
    const { waiting, bytes, lost, fileProblem } = this.#journal;
    return {
      state: this.#problem === null ? 'ok' : fileProblem === null ? 'spilling' : 'memory',
      problem: this.#problem,
      waiting,
      journalBytes: bytes,
      lateEnds: this.#lateEnds,
      lost: lost + this.#refused,
      orphansResolved: this.#orphansResolved,
    };
  }

  async flush(): Promise<void> {
    this.#writeStarts(0);
    await this.#journaling.drain();
    await this.#committing.drain();
    if (this.#problem === null) await this.#apply(this.#carryNone());
  }

  /** Writes what is left. What the store does not take stays in the journal, for the next process. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelApply?.();
    this.#cancelStarts?.();
    await this.flush();
    if (this.#problem !== null) await this.#retry();
    this.#cancelRetry();
    this.#cancelBeat?.();
    this.#failHeld(IS_CLOSED);
    await this.flush();
    this.#over = true;
    // What came while the last of it was written.
    await this.flush();
    this.#journaling.stop();
    this.#committing.stop();
    await this.#journal.close();
    if (this.#problem === null) await this.resolveOrphans(this.#ownerId).catch(() => undefined);
  }

  /** Operations of another process, found after its death. Rejects when the store does not take them. */
  async takeOver(operations: readonly LedgerOperation[]): Promise<void> {
    await this.#turns.run(() => this.#take(operations));
  }

  /** Ends of what a dead process left open in its journal. */
  async takeOverOpen(ends: readonly LedgerOperation[]): Promise<void> {
    const results = await this.#turns.run(() => this.#take(ends));
    this.#orphansResolved += results.filter(({ kind }) => kind === 'done').length;
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

  /** From now on something is on record of it. */
  #follow(attempt: OpenAttempt): void {
    this.#attempts.add(attempt);
    this.#beatSoon();
  }

  #entry(attempt: OpenAttempt): LedgerEntry {
    let ended: Promise<void> | null = null;
    return {
      end: (end) => {
        ended ??= this.#end(attempt, end);
        return ended;
      },
    };
  }

  #end(attempt: OpenAttempt, end: AttemptEnd): Promise<void> {
    this.#young.delete(attempt);
    const { attemptId, payer } = attempt.start;
    const operation = { kind: 'end', organisationId: payer.organisationId, attemptId, end } as const;
    if (this.#over) {
      this.#journal.keepInMemory(fromTheBeginning({ operation, attempt, answer: null }));
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const batches = attempt.place === 'store' ? this.#committing : this.#journaling;
      batches.push({ operation, attempt, answer: () => resolve() }, 0);
    });
  }

  #lookForStarts(): void {
    if (this.#cancelStarts !== null || this.#closed) return;
    this.#cancelStarts = this.#options.clock.after(LOOK_FOR_STARTS_MS, () => {
      this.#cancelStarts = null;
      this.#writeStarts(LOOK_FOR_STARTS_MS);
      if (this.#young.size > 0) this.#lookForStarts();
    });
  }

  /** Puts those on record that are as old as that and have not ended. */
  #writeStarts(oldMs: number): void {
    const nowMs = this.#options.clock.nowMs();
    for (const attempt of this.#young) {
      if (nowMs - attempt.beganAtMs < oldMs) return;
      this.#young.delete(attempt);
      attempt.place = 'coming';
      this.#follow(attempt);
      this.#journaling.push({ operation: startOperation(attempt.start), attempt, answer: null }, PATIENCE_MS);
    }
  }

  async #writeToJournal(batch: readonly Pending[]): Promise<void> {
    if (this.#problem !== null) await this.#checkPlace();
    if (!(await this.#journal.append(batch.flatMap(forJournal)))) return this.#writeToStore(batch);
    for (const pending of batch) {
      const { attempt, operation } = pending;
      if (operation.kind === 'start' && attempt.place === 'coming') attempt.place = 'journal';
      this.#tell(pending, { kind: 'kept' });
    }
    this.#applySoon();
  }

  async #writeToStore(batch: readonly Pending[]): Promise<void> {
    // Whatever becomes of it, the journal does not have the start.
    for (const { attempt } of batch) attempt.place = 'store';
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

  async #commitAsOwner(operations: LedgerBatch): Promise<readonly LedgerResult[]> {
    const { store, logger, clock } = this.#options;
    this.#lastCommitMs = clock.nowMs();
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

  #tell({ operation, attempt, answer }: Pending, fate: Fate): void {
    if (operation.kind === 'end') this.#attempts.remove(attempt);
    if (fate.kind === 'late') this.#lateEnds++;
    if (fate.kind === 'invalid') this.#sayInvalid(attempt.start.attemptId, fate.message);
    answer?.(fate);
  }

  #sayInvalid(attempt: string, problem: string): void {
    // The start and the end of a call come one after the other.
    if (attempt !== this.#lastRefused) this.#refused++;
    this.#lastRefused = attempt;
    this.#options.logger.error({ attempt, problem }, 'the ledger cannot take this call');
  }

  #countLate(results: readonly LedgerResult[]): void {
    this.#lateEnds += results.filter(({ kind }) => kind === 'late').length;
  }

  /** In the journal; what only the store can decide waits for it. */
  async #keep(batch: readonly Pending[]): Promise<void> {
    const untilMs = this.#options.clock.nowMs() + this.#options.reserveWaitMs;
    for (const pending of batch.filter(needsStore)) this.#held.push({ pending, untilMs });
    const rest = batch.filter((pending) => !needsStore(pending));
    if (rest.length === 0) return;
    const operations = rest.flatMap(fromTheBeginning);
    await this.#checkPlace();
    if (!(await this.#journal.append(operations))) this.#journal.keepInMemory(operations);
    for (const pending of rest) this.#tell(pending, { kind: 'kept' });
  }

  /** Nobody knows how far it got: told from the beginning, from memory, and that changes nothing where it was written. */
  #keepUnforeseen(batch: readonly Pending[], error: unknown): void {
    const undecided = batch.filter(needsStore);
    const rest = batch.filter((pending) => !needsStore(pending));
    for (const { attempt } of rest) attempt.place = 'store';
    this.#journal.keepInMemory(rest.flatMap(fromTheBeginning));
    for (const pending of rest) this.#tell(pending, { kind: 'kept' });
    const problem = error instanceof Error ? error.message : String(error);
    this.#fail(undecided, problem);
    this.#applySoon();
    const stack = error instanceof Error ? error.stack : undefined;
    this.#options.logger.error({ problem, stack }, 'usage could not be written; it is kept in memory');
  }

  async #checkPlace(): Promise<void> {
    if (!(await this.#journal.checkPlace())) this.#attempts.giveToStore();
  }

  #applySoon(): void {
    if (this.#cancelApply !== null || this.#problem !== null || this.#closed) return;
    this.#cancelApply = this.#options.clock.after(APPLY_EVERY_MS, () => {
      this.#cancelApply = null;
      void this.#apply(this.#carryYoung());
    });
  }

  /** Brings the journal to the store. Never rejects: what was not taken stays, and is tried again. */
  async #apply(carry: Carry): Promise<void> {
    try {
      await this.#checkPlace();
      await this.#handOn(carry);
    } catch (error) {
      if (error instanceof StoreUnavailable) this.#enterTrouble(error);
      else this.#options.logger.error({ problem: String(error) }, 'the journal cannot be handed to the ledger');
    }
    if (this.#journal.waiting > 0) this.#applySoon();
  }

  #handOn(carry: Carry): Promise<void> {
    const take = async (operations: LedgerBatch): Promise<void> => {
      this.#countLate(await this.#turns.run(() => this.#take(operations)));
    };
    return this.#handingOn.run(() => this.#journal.handOn(take, carry));
  }

  /** Says what cannot be written, and leaves it out: the others must not suffer from it. */
  async #take(batch: LedgerBatch): Promise<readonly LedgerResult[]> {
    try {
      const results = await this.#commitAsOwner(batch);
      if (results.some(({ kind }) => kind !== 'done')) {
        for (const [index, operation] of [...batch].entries()) this.#sayLost(operation, results[index]);
      }
      return results;
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      const message = error instanceof Error ? error.message : String(error);
      const operations = [...batch];
      if (operations.length <= 1) {
        for (const operation of operations) this.#sayInvalid(attemptIdOf(operation), message);
        return operations.map(() => ({ kind: 'invalid', message }));
      }
      const middle = Math.ceil(operations.length / 2);
      const first = await this.#take(operations.slice(0, middle));
      return [...first, ...(await this.#take(operations.slice(middle)))];
    }
  }

  #sayLost(operation: LedgerOperation, result: LedgerResult | undefined): void {
    if (result?.kind === 'invalid') this.#sayInvalid(attemptIdOf(operation), result.message);
    if (result?.kind === 'missing') this.#sayInvalid(attemptIdOf(operation), 'the store has no start of it');
  }

  /** What has run for a short time runs on in the journal, and is written to the store once, when it has ended. */
  #carryYoung(): Carry {
    return {
      starts: () => this.#attempts.divide(this.#options.clock.nowMs()).map(({ start }) => startOperation(start)),
      done: (isCarried) => {
        if (!isCarried) this.#attempts.giveToStore();
      },
    };
  }

  #carryNone(): Carry {
    return { starts: () => [], done: () => this.#attempts.giveToStore() };
  }

  #enterTrouble(error: StoreUnavailable): void {
    if (this.#problem !== null) return;
    this.#problem = `${error.kind}: ${error.message}`;
    this.#troubleKind = error.kind;
    this.#retryMs = FIRST_RETRY_MS;
    this.#retryLater();
    this.#options.logger.error({ problem: this.#problem }, 'the ledger takes nothing now; usage is kept in a file');
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#cancelRetry = this.#options.clock.after(this.#retryMs, () => void this.#retry());
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2);
  }

  async #retry(): Promise<void> {
    try {
      await this.#handOn(this.#carryYoung());
      await this.#turns.run(async () => {
        // Nothing was kept: whether the store takes anything is still to be seen.
        await this.#commitAsOwner([]);
        this.#leaveTrouble();
      });
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) {
        this.#options.logger.error({ problem: String(error) }, 'kept usage cannot be handed to the ledger');
      }
      this.#giveUpHeld();
      this.#retryLater();
    }
  }

  #leaveTrouble(): void {
    this.#problem = null;
    this.#options.logger.info({}, 'the ledger takes usage again; what was kept is in it');
    this.#committing.unshift(this.#held.splice(0).map(({ pending }) => pending));
    if (this.#journal.waiting > 0) this.#applySoon();
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

  #fail(all: readonly Pending[], reason = KIND_WORDS[this.#troubleKind ?? 'failing']): void {
    for (const { attempt, answer } of all) {
      answer?.({ kind: 'unavailable', reason });
      // The store may have taken it before the connection broke: nothing may stay set aside for a call never made.
      const operation = voidOf(attempt.start, this.#options.clock.wallMs());
      this.#committing.push({ operation, attempt, answer: null }, PATIENCE_MS);
    }
  }

  #beatSoon(): void {
    if (this.#cancelBeat !== null || this.#closed) return;
    this.#cancelBeat = this.#options.clock.after(BEAT_EVERY_MS, () => {
      void this.#beat().then(() => {
        this.#cancelBeat = null;
        if (this.#attempts.size > 0) this.#beatSoon();
      });
    });
  }

  /** The next one comes when this one is written: beats that wait for a slow store say nothing. */
  async #beat(): Promise<void> {
    const { clock } = this.#options;
    if (this.#problem !== null || !this.#attempts.anyInStore()) return;
    if (clock.nowMs() - this.#lastCommitMs < BEAT_EVERY_MS / 2) return;
    await this.#turns.run(() => this.#commit([]));
  }

  #newName(): string {
    const name = this.#options.newOwnerId();
    this.#names.add(name);
    return name;
  }
}

/** For clients: the driver's own words are for the log. */
const KIND_WORDS: Readonly<Record<StoreUnavailable['kind'], string>> = {
  locked: 'another process holds the database locked',
  full: "the database's disk is full",
  gone: 'the database cannot be reached',
  failing: 'the database takes nothing',
};

function attemptIdOf(operation: LedgerOperation): string {
  return operation.kind === 'start' ? operation.start.attemptId : operation.attemptId;
}

function unavailableText(reason: string): string {
  return `A hard budget applies to this request, and whether it has room cannot be told now: ${reason}. Try again in a moment.`;
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
