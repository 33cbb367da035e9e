import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import { slotUseByName, type TargetEntry } from './target-entry.ts';
import type { CallOnTarget, TargetDirectory } from './targets.ts';

/** A place where a request could run. */
export interface SlotChoice {
  readonly entry: TargetEntry;
  readonly model: string;
}

/** A taken slot; the call on the target begins with it. */
export interface Lease {
  readonly choice: SlotChoice;
  readonly call: CallOnTarget;
  /** How long it was waited for. */
  readonly queuedMs: number;
  /** Gives it back; further calls do nothing. */
  release(): void;
}

interface Waiter {
  readonly choices: readonly SlotChoice[];
  readonly sinceMs: number;
  grant(lease: Lease): void;
  refuse(error: UpstreamError): void;
}

/** Counts what is in flight, and lets requests wait, first come first served, for whichever acceptable slot frees first. */
export class SlotTable {
  readonly #clock: Clock;
  readonly #directory: TargetDirectory;
  readonly #queueLimit: number;
  readonly #waiters = new Set<Waiter>();

  /** `queueLimit`: requests that may wait at once, ≥ 0. */
  constructor(clock: Clock, directory: TargetDirectory, queueLimit: number) {
    this.#clock = clock;
    this.#directory = directory;
    this.#queueLimit = queueLimit;
    // A target that comes back, or reports more slots, may take waiting requests at once; one that goes down never will.
    directory.onChange(() => {
      if (this.#waiters.size > 0) this.#serveWaiters();
    });
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Takes a slot if one is free now. */
  take(choice: SlotChoice, queuedMs = 0): Lease | null {
    const { busy, slots } = slotUseByName(choice.entry, choice.model);
    return busy < slots ? new SlotLease(this, this.#directory, choice, queuedMs) : null;
  }

  /**
   * Waits for a slot at any of the choices, the earlier ones preferred. Rejects with UpstreamError: `overloaded` when
   * the queue is full or `timeoutMs` is over, `unreachable` when all choices went down, else the cancellation's cause.
   */
  wait(choices: readonly SlotChoice[], timeoutMs: number, cancellation: Cancellation): Promise<Lease> {
    for (const choice of choices) {
      const lease = this.take(choice);
      if (lease !== null) return Promise.resolve(lease);
    }
    if (this.#waiters.size >= this.#queueLimit) {
      const message = `all slots are taken and ${this.#waiters.size} requests are waiting already`;
      return Promise.reject(new UpstreamError('overloaded', message, { retryAfterMs: 1_000 }));
    }
    return new Promise((resolve, reject) => this.#enqueue(choices, timeoutMs, cancellation, resolve, reject));
  }

  /** Called by leases alone. */
  slotFreed(): void {
    if (this.#waiters.size > 0) this.#serveWaiters();
  }

  #enqueue(
    choices: readonly SlotChoice[],
    timeoutMs: number,
    cancellation: Cancellation,
    resolve: (lease: Lease) => void,
    reject: (error: UpstreamError) => void,
  ): void {
    const leave = (): void => {
      cancelTimer();
      cancellation.forget(refuse);
      if (this.#waiters.delete(waiter)) for (const { entry } of choices) entry.queued--;
    };
    const refuse = (error: UpstreamError): void => {
      leave();
      reject(error);
    };
    const waiter: Waiter = {
      choices,
      sinceMs: this.#clock.nowMs(),
      grant: (lease) => {
        leave();
        resolve(lease);
      },
      refuse,
    };
    const cancelTimer = this.#clock.after(timeoutMs, () =>
      refuse(
        new UpstreamError('overloaded', `no slot became free within ${timeoutMs / 1000} s`, { retryAfterMs: 1_000 }),
      ),
    );
    this.#waiters.add(waiter);
    for (const { entry } of choices) entry.queued++;
    cancellation.onCancel(refuse);
  }

  #serveWaiters(): void {
    for (const waiter of [...this.#waiters]) {
      const open = waiter.choices.filter(({ entry }) => entry.breaker.name !== 'open');
      if (open.length === 0) {
        waiter.refuse(new UpstreamError('unreachable', 'every server that was waited for went down'));
        continue;
      }
      for (const choice of open) {
        if (isOnTrial(choice.entry)) continue;
        const lease = this.take(choice, this.#clock.nowMs() - waiter.sinceMs);
        if (lease === null) continue;
        waiter.grant(lease);
        break;
      }
    }
  }
}

/** One request is already finding out whether the target works again. */
function isOnTrial({ breaker }: TargetEntry): boolean {
  return breaker.name === 'half-open' && breaker.trialRunning;
}

class SlotLease implements Lease {
  readonly choice: SlotChoice;
  readonly call: CallOnTarget;
  readonly queuedMs: number;
  readonly #table: SlotTable;
  #held = true;

  constructor(table: SlotTable, directory: TargetDirectory, choice: SlotChoice, queuedMs: number) {
    this.#table = table;
    this.choice = choice;
    this.queuedMs = queuedMs;
    const { entry, model } = choice;
    entry.inFlight++;
    entry.inFlightByModel.set(model, (entry.inFlightByModel.get(model) ?? 0) + 1);
    this.call = directory.begin(entry, model);
  }

  release(): void {
    if (!this.#held) return;
    this.#held = false;
    const { entry, model } = this.choice;
    entry.inFlight--;
    const rest = (entry.inFlightByModel.get(model) ?? 1) - 1;
    if (rest === 0) entry.inFlightByModel.delete(model);
    else entry.inFlightByModel.set(model, rest);
    this.#table.slotFreed();
  }
}
