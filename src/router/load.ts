import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import { isOnTrial } from './breaker.ts';
import { waitSeconds } from './cost.ts';
import { FewATurn } from './few-a-turn.ts';
import { type Lease, SlotLease } from './lease.ts';
import { loadObstacle } from './load-guard.ts';
import { modelIndex } from './model-index.ts';
import { Newcomers } from './newcomers.ts';
import { mayTryOneMore } from './scout.ts';
import type { SlotChoice } from './slot-choice.ts';
import { slotUseByName, type TargetEntry } from './target-entry.ts';
import type { TargetDirectory } from './targets.ts';
import { predictedWaitMs } from './wait-forecast.ts';
import { WaitingLines } from './waiting-lines.ts';

/** How long a request may wait. */
export interface Patience {
  /** ≥ 0. */
  readonly timeoutMs: number;
  /** When its reply must have begun, on the monotonic clock. */
  readonly deadlineMs: number;
  /** Something else is tried when the time is over: worth waiting however long the queue is. */
  readonly hasOther: boolean;
  /** A server that can serve by now and is not waited for ends the wait, so that the plan is made anew. */
  readonly mayReplan: boolean;
  /** Something else is better from then on, or when the slot is not expected before; null: nothing is. Monotonic ms. */
  readonly worthUntilMs?: number | null;
}

interface Waiter {
  readonly choices: readonly SlotChoice[];
  readonly sinceMs: number;
  readonly mayReplan: boolean;
  readonly worthUntilMs: number | null;
  /** Null: somebody who can serve by now is not among the choices. */
  grant(lease: Lease | null): void;
  refuse(error: UpstreamError): void;
}

/** When a queue is full and nothing is known of how fast it moves. */
const RETRY_GUESS_MS = 1_000;
/** A model at work is used on for so long while others wait for another model; at least as long as it took to load. */
const LOAD_PATIENCE_MS = 2_000;
const MAX_RETRY_HINT_MS = 60_000;
/** When a slot will be free is only guessed: a wait is not given up for a guess that is a little worse. */
const ESTIMATE_SLACK = 1.5;
/** How often it is looked whether something else is better than waiting, ms: also when no slot frees, waits get worse. */
const LOOK_ROUND_MS = 250;
/** Each may plan and send a request, a fraction of a millisecond. */
const PARTINGS_A_TURN = 4;
/** Timers count whole milliseconds. */
const TIMER_SLACK_MS = 1;
/** Three thirds of a waiter are a little less than one. */
const ROUNDING = 0.001;

/** Counts what is in flight, and lets requests wait, first come first served, for whichever acceptable slot frees first. */
export class SlotTable {
  readonly #clock: Clock;
  readonly #directory: TargetDirectory;
  #queueLimit: number;
  readonly #waiters = new WaitingLines<Waiter>();
  /** Who is let go makes another plan at once, which for all together would hold up everybody else. */
  readonly #partings: FewATurn<Waiter, () => UpstreamError | null>;
  /** Targets whose slots are to be handed out. */
  readonly #toServe = new Set<TargetEntry>();
  #serving = false;
  readonly #newcomers: Newcomers;
  #looksRound = false;

  /** `queueLimit`: requests that may wait for one target at once, ≥ 0; one that waits for several counts as a part at each. */
  constructor(clock: Clock, directory: TargetDirectory, queueLimit: number) {
    this.#clock = clock;
    this.#directory = directory;
    this.#queueLimit = queueLimit;
    this.#newcomers = new Newcomers(directory, clock);
    this.#partings = new FewATurn(clock, PARTINGS_A_TURN, (waiter, why) => this.#letGo(waiter, why));
    // A target that comes back, or reports more slots, may take waiting requests at once; one that goes down never will.
    directory.onChange((entry, isBack) => {
      if (this.#waiters.size === 0) return;
      this.#noteLoadWanted(entry);
      this.#letGoOfTheClosed(entry);
      this.#serve(entry);
      if (isBack) this.#tellOfNewcomer(entry);
    });
    directory.onAnswering((entry) => this.#sendScout(entry));
  }

  /** Requests that wait already stay. */
  set queueLimit(limit: number) {
    this.#queueLimit = limit;
  }

  /** Takes a slot if one is free now. */
  take(choice: SlotChoice, queuedMs = 0): Lease | null {
    const { entry, model, outOfTurn } = choice;
    if (!outOfTurn && (entry.breaker.name === 'open' || isOnTrial(entry.breaker))) return null;
    if (this.#mustMakeRoom(entry, model)) return null;
    const { busy, slots } = slotUseByName(entry, model);
    return busy < slots ? this.#lease(choice, queuedMs) : null;
  }

  /** Others have waited long for another model: those at work come to their end, and no more of their kind begin. */
  #mustMakeRoom({ loadWanted, lastLoad }: TargetEntry, model: string): boolean {
    if (loadWanted === null || loadWanted.model === model) return false;
    // Else each load would serve one request, and most of the time would be spent on loading.
    const sinceMs = Math.max(loadWanted.sinceMs, lastLoad?.endedAtMs ?? 0);
    return this.#clock.nowMs() - sinceMs >= Math.max(LOAD_PATIENCE_MS, lastLoad?.tookMs ?? 0);
  }

  /** Who waits longest for a load there that others prevent. */
  #noteLoadWanted(entry: TargetEntry): void {
    if (entry.snapshot === null || !entry.adapter.loadsOnDemand) return;
    let wanted: TargetEntry['loadWanted'] = null;
    for (const { waiter, choice } of this.#waiters.heads(entry)) {
      const info = modelIndex(entry.snapshot).find(choice.model);
      // A load that goes on already needs no room made for it.
      if (info === null || loadObstacle(entry, info) !== 'would-evict') continue;
      if (wanted === null || waiter.sinceMs < wanted.sinceMs) wanted = { model: info.id, sinceMs: waiter.sinceMs };
    }
    entry.loadWanted = wanted;
  }

  #lease(choice: SlotChoice, queuedMs: number): Lease {
    return new SlotLease(this.#directory, this.#clock, choice, queuedMs, (entry) => {
      if (this.#waiters.size > 0) this.#serve(entry);
    });
  }

  /**
   * Waits for a slot at any of the choices, the earlier ones preferred; null: look round, another target can serve by now,
   * which only those are told that may replan. Rejects with UpstreamError: `overloaded` when
   * their queues are full, would not move in time, or did not; `unreachable` when all choices went down; else the
   * cancellation's cause.
   */
  wait(choices: readonly SlotChoice[], patience: Patience, cancellation: Cancellation): Promise<Lease | null> {
    for (const choice of choices) {
      const lease = this.take(choice);
      if (lease !== null) return Promise.resolve(lease);
    }
    const scout = choices.find((choice) => choice.entry.queued === 0 && this.#mayScout(choice));
    if (scout !== undefined) return Promise.resolve(this.#lease(scout, 0));
    const refusal = this.#refusal(choices, patience);
    if (refusal !== null) return Promise.reject(refusal);
    return new Promise((resolve, reject) => this.#enqueue(choices, patience, cancellation, resolve, reject));
  }

  /**
   * For who is to ask a target again after a pause: resolves when the pause is over, with true before that when another
   * server can serve by now. Rejects with the cancellation's cause.
   */
  rest(pauseMs: number, deadlineMs: number, cancellation: Cancellation): Promise<boolean> {
    const patience = { timeoutMs: pauseMs, deadlineMs, hasOther: true, mayReplan: true };
    const endsAtMs = this.#clock.nowMs() + pauseMs;
    return new Promise((resolve, reject) =>
      this.#enqueue(
        [],
        patience,
        cancellation,
        () => resolve(this.#clock.nowMs() + TIMER_SLACK_MS < endsAtMs),
        (error) => (cancellation.cause === null ? resolve(false) : reject(error)),
      ),
    );
  }

  #mayScout(choice: SlotChoice): boolean {
    return mayTryOneMore(choice) && !this.#mustMakeRoom(choice.entry, choice.model);
  }

  /** An answer has begun there, so one more may be tried: who came first is the one. */
  #sendScout(entry: TargetEntry): void {
    if (entry.queued === 0 || entry.retired) return;
    const head = this.#waiters.first(entry);
    if (head === null || !this.#mayScout(head.choice)) return;
    head.waiter.grant(this.#lease(head.choice, this.#clock.nowMs() - head.waiter.sinceMs));
  }

  /** Better refused at once than after a wait that cannot end well. */
  #refusal(choices: readonly SlotChoice[], patience: Patience): UpstreamError | null {
    if (!choices.some(mayStillServe)) return nobodyComes();
    const limitMs = Math.min(patience.timeoutMs, patience.deadlineMs - this.#clock.nowMs());
    const waitMs = predictedWaitMs(choices);
    const isFull = choices.every(({ entry }) => entry.queuedShare > this.#queueLimit - ROUNDING);
    if (!isFull && (waitMs === null || waitMs <= limitMs || patience.hasOther)) return null;
    const hintMs = waitMs === null ? RETRY_GUESS_MS : waitMs - (isFull ? 0 : limitMs);
    const retryAfterMs = Math.min(MAX_RETRY_HINT_MS, Math.max(RETRY_GUESS_MS, hintMs));
    const waiting = Math.max(...choices.map(({ entry }) => entry.queued));
    const message = isFull
      ? `all slots are taken and ${waiting} requests are waiting already`
      : `all slots are taken, and a wait of about ${Math.ceil((waitMs ?? 0) / 1000)} s is longer than the request may wait`;
    return new UpstreamError('overloaded', message, { retryAfterMs });
  }

  #enqueue(
    choices: readonly SlotChoice[],
    { timeoutMs, mayReplan, worthUntilMs = null }: Patience,
    cancellation: Cancellation,
    resolve: (lease: Lease | null) => void,
    reject: (error: UpstreamError) => void,
  ): void {
    const leave = (): void => {
      cancelTimer();
      cancellation.forget(refuse);
      if (!this.#waiters.delete(waiter)) return;
      for (const { entry } of choices) {
        entry.queued--;
        entry.queuedShare -= 1 / choices.length;
        if (entry.loadWanted !== null) this.#loadLessWanted(entry);
      }
    };
    const refuse = (error: UpstreamError): void => {
      leave();
      reject(error);
    };
    const waiter: Waiter = {
      choices,
      sinceMs: this.#clock.nowMs(),
      mayReplan,
      worthUntilMs,
      grant: (lease) => {
        leave();
        resolve(lease);
      },
      refuse,
    };
    const cancelTimer = this.#clock.after(timeoutMs, () =>
      refuse(
        new UpstreamError('overloaded', `no slot became free within ${timeoutMs / 1000} s`, {
          retryAfterMs: RETRY_GUESS_MS,
        }),
      ),
    );
    this.#waiters.add(waiter);
    if (mayReplan || worthUntilMs !== null) this.#lookRoundLater();
    for (const { entry } of choices) {
      entry.queued++;
      entry.queuedShare += 1 / choices.length;
      if (entry.loadWanted === null) this.#noteLoadWanted(entry);
    }
    cancellation.onCancel(refuse);
  }

  /** Those who do not wait for it may go there: their plans are made anew. */
  #tellOfNewcomer(entry: TargetEntry): void {
    for (const waiter of this.#waiters) {
      if (!waiter.mayReplan || waiter.choices.some((choice) => choice.entry === entry)) continue;
      this.#partings.add(waiter, lookRound);
    }
  }

  /** Whoever made room for a load need not when nobody waits for it any more. */
  #loadLessWanted(entry: TargetEntry): void {
    const { loadWanted } = entry;
    this.#noteLoadWanted(entry);
    if (entry.loadWanted?.model !== loadWanted?.model && entry.queued > 0) this.#serve(entry);
  }

  /** Those for whom nobody is left. */
  #letGoOfTheClosed(entry: TargetEntry): void {
    if (!entry.retired && entry.breaker.name !== 'open') return;
    for (const waiter of this.#waiters.at(entry)) {
      // Who is told already that another one is back goes there.
      if (!this.#partings.has(waiter) && !waiter.choices.some(mayStillServe)) this.#partings.add(waiter, nobodyComes);
    }
  }

  /** It may have been served meanwhile, or one that it waits for may be back. */
  #letGo(waiter: Waiter, why: () => UpstreamError | null): void {
    if (!this.#waiters.has(waiter) || (why === nobodyComes && waiter.choices.some(mayStillServe))) return;
    const error = why();
    if (error === null) waiter.grant(null);
    else waiter.refuse(error);
  }

  /** Hands out what is free there. Taking a slot may itself be news (a trial begins), which is looked at afterwards. */
  #serve(entry: TargetEntry): void {
    this.#toServe.add(entry);
    if (this.#serving) return;
    this.#serving = true;
    try {
      for (const next of this.#toServe) {
        this.#toServe.delete(next);
        this.#serveLines(next);
      }
    } finally {
      this.#serving = false;
    }
  }

  /** First come, first served. Where the first of a line gets nothing, nobody of that line does. */
  #serveLines(entry: TargetEntry): void {
    const full = new Set<string>();
    for (let head = this.#waiters.first(entry); head !== null; head = this.#waiters.first(entry, full)) {
      if (!this.#serveOne(head.waiter)) full.add(head.line);
    }
  }

  /** As long as anybody waits to whom something else may be better. */
  #lookRoundLater(): void {
    if (this.#looksRound) return;
    this.#looksRound = true;
    // What can serve from here on counts as new.
    this.#newcomers.look();
    const again = (): void => {
      this.#clock.after(LOOK_ROUND_MS, () => {
        for (const entry of this.#newcomers.look()) this.#tellOfNewcomer(entry);
        this.#letGoWhoWaitInVain();
        this.#looksRound = [...this.#waiters].some(({ mayReplan, worthUntilMs }) => mayReplan || worthUntilMs !== null);
        if (this.#looksRound) again();
      });
    };
    again();
  }

  /** Those whose slot is by now expected later than it is worth: their plans go on elsewhere. */
  #letGoWhoWaitInVain(): void {
    const ahead = new Map<TargetEntry, number>();
    for (const waiter of this.#waiters) {
      if (waiter.worthUntilMs !== null && !this.#isStillWorthIt(waiter, waiter.worthUntilMs, ahead)) {
        this.#partings.add(waiter, noLongerWorthIt);
        continue;
      }
      for (const { entry } of waiter.choices) ahead.set(entry, (ahead.get(entry) ?? 0) + 1);
    }
  }

  #isStillWorthIt({ choices }: Waiter, untilMs: number, ahead: ReadonlyMap<TargetEntry, number>): boolean {
    const nowMs = this.#clock.nowMs();
    const leftSeconds = ((untilMs - nowMs) / 1000) * ESTIMATE_SLACK;
    return choices.some(({ entry, model }) => {
      const usual = entry.book.usual(entry.target.place, model);
      return waitSeconds(entry, usual, slotUseByName(entry, model), ahead.get(entry) ?? 0, nowMs) <= leftSeconds;
    });
  }

  /** False: it goes on waiting. */
  #serveOne(waiter: Waiter): boolean {
    for (const choice of waiter.choices) {
      if (!mayStillServe(choice)) continue;
      const lease = this.take(choice, this.#clock.nowMs() - waiter.sinceMs);
      if (lease === null) continue;
      waiter.grant(lease);
      return true;
    }
    return false;
  }
}

function mayStillServe({ entry, outOfTurn }: SlotChoice): boolean {
  return !entry.retired && (outOfTurn || entry.breaker.name !== 'open');
}

function lookRound(): null {
  return null;
}

function noLongerWorthIt(): UpstreamError {
  return new UpstreamError('overloaded', 'the wait for a slot has become longer than it is worth');
}

function nobodyComes(): UpstreamError {
  return new UpstreamError('unreachable', 'every server that was waited for went down or was removed');
}
