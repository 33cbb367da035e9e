import type { StreamReply } from '../core/adapter.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';

/** How much is read on for clients that have left. */
export interface DrainLimits {
  /** Answers at once, in the whole gateway, ≥ 0; whoever comes when so many are read is cancelled. */
  readonly atOnce: number;
  /** For one answer, ms and bytes, > 0; then it is cancelled. */
  readonly mostMs: number;
  readonly mostBytes: number;
}

export const DRAIN_LIMITS: DrainLimits = { atOnce: 32, mostMs: 120_000, mostBytes: 4 * 1024 * 1024 };

/** One answer that is read on. */
export interface Drain {
  readonly mostBytes: number;
  /** It is over, and what it used has been handed to its bill; once. */
  end(): void;
}

/**
 * Answers that are read on although their client has left (faults A-07), because their provider charges them to the end
 * all the same: only so is it known what they cost. Bounded in number, time and bytes.
 */
export class Drains {
  readonly #clock: Clock;
  readonly #limits: DrainLimits;
  readonly #logger: Logger | null;
  readonly #running = new Map<Drain, () => void>();
  #onIdle: (() => void) | null = null;
  #stopped = false;

  constructor(clock: Clock, limits: DrainLimits = DRAIN_LIMITS, logger: Logger | null = null) {
    this.#clock = clock;
    this.#limits = limits;
    this.#logger = logger;
  }

  /** Null: there is no room, and the call is to be cancelled. `cancel` ends it; the drain still has to be ended then. */
  begin(cancel: () => void): Drain | null {
    const { atOnce, mostMs, mostBytes } = this.#limits;
    if (this.#stopped || this.#running.size >= atOnce) return null;
    const cancelTimer = this.#clock.after(mostMs, cancel);
    const drain: Drain = {
      mostBytes,
      end: () => {
        cancelTimer();
        this.#running.delete(drain);
        if (this.#running.size === 0) this.#onIdle?.();
      },
    };
    this.#running.set(drain, cancel);
    return drain;
  }

  /** Has handed what was read on to its bill when it returns. No client is left to hear of what fails there: the log does. Never rejects. */
  async settle(bill: () => Promise<void> | null): Promise<void> {
    try {
      await bill();
    } catch (error) {
      this.sayUnbilled(error);
    }
  }

  sayUnbilled(error: unknown): void {
    const { message: problem, stack } = error instanceof Error ? error : new Error(String(error));
    this.#logger?.error({ problem, stack }, 'what was read on for a client that had left could not be billed');
  }

  /** The gateway stops: what has been seen by now counts. Resolves when every bill has it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#running.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    for (const cancel of [...this.#running.values()]) cancel();
    await idle;
  }
}

/** Reads a stream to its end and throws it away; never rejects. `pending`: a read that was begun before. */
export async function readOn(
  reply: StreamReply,
  mostBytes: number,
  pending: Promise<unknown> | null = null,
): Promise<void> {
  try {
    await pending;
    let bytes = 0;
    for (let batch = await reply.next(); batch !== null; batch = await reply.next()) {
      bytes += batch.bytes.length;
      if (bytes > mostBytes) reply.cancel();
    }
  } catch {
    // However it ended: what it used is known by now, or was counted.
  }
}
