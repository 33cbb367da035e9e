import type { Clock } from '../core/clock.ts';
import { counted } from '../core/counted.ts';
import { HttpError } from './http-error.ts';

/** Bytes that earn a body another second. A phone on a bad line sends more. */
const BYTES_A_SECOND = 16 * 1024;
/** A body that has not come by then is slow, and counts against its sender's limit. */
const SLOW_AFTER_MS = 1_000;
const LONGEST_TICK_MS = 1_000;

export interface BodyLimits {
  /** What a body has to come, beside a second for each 16 KiB of it that came. */
  readonly timeoutMs: number;
  /** Slow bodies of one sender at once. */
  readonly slowLimit: number;
}

/** Who sends a body: a key, else an address. */
export interface BodySender {
  /** Unlike any other's. */
  readonly id: string;
  /** "key" or "address". */
  readonly by: string;
}

export const addressSender = (address: string | null): BodySender => ({ id: `address ${address}`, by: 'address' });

/** One body that is being read. */
export interface BodyInRead {
  receivedBytes: number;
  /** False: it is read at once, and nobody sees it come. */
  readonly isCounted: boolean;
  readonly startedAtMs: number;
  /** Asked only of bodies that are slow. */
  readonly sender: () => BodySender;
  /** Ends the reading with this error. */
  readonly giveUp: (error: HttpError) => void;
  /** Null while it is not slow. */
  slowSender: BodySender | null;
}

/**
 * Gives up bodies that are dripped (faults S-15), which Bun's idle clock never does: each byte starts it anew. One
 * timer for all of them, so that a request, whose body is there within a millisecond, pays for an entry in a set.
 */
export class BodyClock {
  readonly #clock: Clock;
  readonly #limits: BodyLimits;
  readonly #tickMs: number;
  readonly #bodies = new Set<BodyInRead>();
  readonly #slow = new Map<string, number>();
  #cancelTimer: (() => void) | null = null;

  constructor(clock: Clock, limits: BodyLimits) {
    this.#clock = clock;
    this.#limits = limits;
    this.#tickMs = Math.min(LONGEST_TICK_MS, Math.max(10, limits.timeoutMs / 4));
  }

  /** @param isCounted false: how much of it came cannot be told */
  start(sender: () => BodySender, giveUp: (error: HttpError) => void, isCounted = true): BodyInRead {
    const startedAtMs = this.#clock.nowMs();
    const body = { receivedBytes: 0, isCounted, startedAtMs, sender, giveUp, slowSender: null };
    this.#bodies.add(body);
    this.#cancelTimer ??= this.#clock.after(this.#tickMs, () => this.#tick());
    return body;
  }

  /** It came, or will not be waited for any more. */
  end(body: BodyInRead): void {
    this.#bodies.delete(body);
    if (body.slowSender === null) return;
    const { id } = body.slowSender;
    const left = (this.#slow.get(id) ?? 1) - 1;
    if (left === 0) this.#slow.delete(id);
    else this.#slow.set(id, left);
    body.slowSender = null;
  }

  /** No timer is left behind. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  #tick(): void {
    this.#cancelTimer = null;
    const nowMs = this.#clock.nowMs();
    for (const body of [...this.#bodies]) this.#judge(body, nowMs - body.startedAtMs);
    // An idle process holds no timer.
    if (this.#bodies.size > 0) this.#cancelTimer = this.#clock.after(this.#tickMs, () => this.#tick());
  }

  #judge(body: BodyInRead, tookMs: number): void {
    const { timeoutMs, slowLimit } = this.#limits;
    if (tookMs >= timeoutMs + (body.receivedBytes / BYTES_A_SECOND) * 1_000) {
      this.#giveUp(body, tooSlow(tookMs, body.isCounted ? body.receivedBytes : null, timeoutMs));
      return;
    }
    if (body.slowSender !== null || tookMs < Math.min(SLOW_AFTER_MS, timeoutMs / 2)) return;
    const sender = body.sender();
    const others = this.#slow.get(sender.id) ?? 0;
    if (others >= slowLimit) {
      this.#giveUp(body, tooMany(others, sender.by));
      return;
    }
    this.#slow.set(sender.id, others + 1);
    body.slowSender = sender;
  }

  #giveUp(body: BodyInRead, error: HttpError): void {
    this.end(body);
    body.giveUp(error);
  }
}

/** The rest of the body will not be read: its connection cannot be used again. */
const CLOSE = { connection: 'close' };

function tooSlow(tookMs: number, bytes: number | null, timeoutMs: number): HttpError {
  const seconds = (tookMs / 1_000).toFixed(1);
  const came = bytes === null ? `not all of it in ${seconds} s` : `${counted(bytes, 'byte')} in ${seconds} s`;
  const more = bytes === null ? '' : `, and one more for each ${BYTES_A_SECOND / 1024} KiB that have come`;
  const message = `The request body came too slowly: ${came}. It has ${timeoutMs / 1_000} s (SWARMROUTER_BODY_TIMEOUT)${more}.`;
  return new HttpError(408, 'request_timeout', message, { headers: CLOSE });
}

function tooMany(others: number, by: string): HttpError {
  const message =
    `${others} other request bodies of this ${by} have been under way for more than a second. ` +
    'Send them faster or fewer at once, or raise SWARMROUTER_SLOW_BODY_LIMIT.';
  return new HttpError(429, 'too_many_slow_bodies', message, { headers: { ...CLOSE, 'retry-after': '1' } });
}
