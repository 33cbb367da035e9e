import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { ModelInfo } from '../core/target.ts';
import { slotsOf, type TargetDirectory, type TargetEntry } from './targets.ts';

/** How full a target is for one model. */
export interface SlotUse {
  readonly busy: number;
  /** Infinity: no limit. */
  readonly slots: number;
}

/**
 * LM Studio and llama.cpp give each loaded model its own slots; a limit that a person set, and servers that say
 * nothing, count over the whole target. The router counts for itself: desktop servers never say that they are busy.
 */
export function slotUse(entry: TargetEntry, model: ModelInfo | null): SlotUse {
  const perModel =
    entry.target.maxConcurrent === null && entry.target.place === 'local' ? (model?.slots ?? null) : null;
  if (perModel !== null && model !== null) {
    return { busy: entry.inFlightByModel.get(model.id) ?? 0, slots: perModel };
  }
  return { busy: entry.inFlight, slots: slotsOf(entry) ?? Number.POSITIVE_INFINITY };
}

/** A taken slot. */
export interface Lease {
  readonly choice: SlotChoice;
  /** How long it was waited for. */
  readonly queuedMs: number;
  /** Gives it back; further calls do nothing. */
  release(): void;
}

/** A place where a request could run. */
export interface SlotChoice {
  readonly entry: TargetEntry;
  readonly model: string;
  readonly info: ModelInfo | null;
}

interface Waiter {
  readonly choices: readonly SlotChoice[];
  readonly sinceMs: number;
  grant(lease: Lease): void;
}

/** Counts what is in flight, and lets requests wait, first come first served, for whichever acceptable slot frees first. */
export class SlotTable {
  readonly #clock: Clock;
  readonly #queueLimit: number;
  readonly #waiters = new Set<Waiter>();

  /** `queueLimit`: requests that may wait for one target, ≥ 0. */
  constructor(clock: Clock, directory: TargetDirectory, queueLimit: number) {
    this.#clock = clock;
    this.#queueLimit = queueLimit;
    // A target that comes back, or reports more slots, may take waiting requests at once.
    directory.onChange(() => this.#serveWaiters());
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  /** Takes a slot if one is free now. */
  take(choice: SlotChoice, queuedMs = 0): Lease | null {
    const { busy, slots } = slotUse(choice.entry, choice.info);
    if (busy >= slots) return null;
    return this.#lease(choice, queuedMs);
  }

  /**
   * Waits for a slot at any of the choices. Rejects with UpstreamError: `overloaded` when the queue is full or
   * `timeoutMs` is over, the signal's reason when it fires.
   */
  wait(choices: readonly SlotChoice[], timeoutMs: number, signal: AbortSignal): Promise<Lease> {
    if (choices.every((choice) => choice.entry.queued >= this.#queueLimit)) {
      return Promise.reject(
        new UpstreamError('overloaded', `all slots are taken and ${this.#queueLimit} requests are waiting already`, {
          retryAfterMs: 1_000,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        choices,
        sinceMs: this.#clock.nowMs(),
        grant: (lease) => {
          leave();
          resolve(lease);
        },
      };
      const giveUp = (error: unknown): void => {
        leave();
        reject(error);
      };
      const onAbort = (): void => giveUp(signal.reason);
      const cancelTimer = this.#clock.after(timeoutMs, () =>
        giveUp(
          new UpstreamError('overloaded', `no slot became free within ${timeoutMs / 1000} s`, { retryAfterMs: 1_000 }),
        ),
      );
      const leave = (): void => {
        cancelTimer();
        signal.removeEventListener('abort', onAbort);
        if (this.#waiters.delete(waiter)) for (const choice of choices) choice.entry.queued--;
      };
      for (const choice of choices) choice.entry.queued++;
      this.#waiters.add(waiter);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #lease(choice: SlotChoice, queuedMs: number): Lease {
    const { entry, model } = choice;
    entry.inFlight++;
    entry.inFlightByModel.set(model, (entry.inFlightByModel.get(model) ?? 0) + 1);
    let held = true;
    return {
      choice,
      queuedMs,
      release: () => {
        if (!held) return;
        held = false;
        entry.inFlight--;
        const rest = (entry.inFlightByModel.get(model) ?? 1) - 1;
        if (rest === 0) entry.inFlightByModel.delete(model);
        else entry.inFlightByModel.set(model, rest);
        if (this.#waiters.size > 0) this.#serveWaiters();
      },
    };
  }

  #serveWaiters(): void {
    for (const waiter of [...this.#waiters]) {
      for (const choice of waiter.choices) {
        if (choice.entry.breaker.name === 'open') continue;
        const lease = this.take(choice, this.#clock.nowMs() - waiter.sinceMs);
        if (lease === null) continue;
        waiter.grant(lease);
        break;
      }
    }
  }
}
