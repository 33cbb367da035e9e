import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';

/** The clocks an attempt can be cut by. */
const CLOCKS = ['connect', 'firstByte', 'firstToken', 'idle', 'total'] as const;
export type WatchClock = (typeof CLOCKS)[number];

const WHAT_DID_NOT_COME: Readonly<Record<WatchClock, string>> = {
  connect: 'no connection',
  firstByte: 'no reply',
  firstToken: 'no first token',
  idle: 'no further data',
  total: 'no end of the stream',
};

const OFF = Number.POSITIVE_INFINITY;

/**
 * The clocks and the abort of one attempt. Deadlines are plain numbers and one timer serves all of them: it is
 * set again only when it fires or when a deadline earlier than it appears, so a chunk of a stream costs two
 * number writes instead of two timer calls.
 */
export class AttemptWatch {
  readonly startedAtMs: number;
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #deadlineMs: Record<WatchClock, number>;
  readonly #limitMs: Record<WatchClock, number>;
  readonly #onOuterAbort = (): void => this.abort(errorOfAbort(this.#outer.reason));
  #timerAtMs = OFF;
  #cancelTimer: (() => void) | null = null;
  #cause: UpstreamError | null = null;

  constructor(clock: Clock, outer: AbortSignal) {
    this.#clock = clock;
    this.#outer = outer;
    this.startedAtMs = clock.nowMs();
    this.#deadlineMs = { connect: OFF, firstByte: OFF, firstToken: OFF, idle: OFF, total: OFF };
    this.#limitMs = { connect: 0, firstByte: 0, firstToken: 0, idle: 0, total: 0 };
    if (outer.aborted) this.#onOuterAbort();
    else outer.addEventListener('abort', this.#onOuterAbort, { once: true });
  }

  /** Fires when a clock ran out, when the caller's signal fired, or on `abort`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it was aborted; null: it was not. */
  get cause(): UpstreamError | null {
    return this.#cause;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Starts or moves a clock: it runs out `limitMs` after `fromMs`, which is now or earlier. */
  start(which: WatchClock, limitMs: number, fromMs: number): void {
    this.#limitMs[which] = limitMs;
    const atMs = fromMs + limitMs;
    this.#deadlineMs[which] = atMs;
    if (atMs < this.#timerAtMs) this.#arm(atMs);
  }

  stop(which: WatchClock): void {
    this.#deadlineMs[which] = OFF;
  }

  /** Closes the upstream's socket and makes the pending read fail with `cause`. Only the first cause counts. */
  abort(cause: UpstreamError): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.dispose();
    this.#controller.abort(cause);
  }

  /** Lets go of the timer and of the caller's signal. Harmless when repeated. */
  dispose(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    // A start() after the end must not arm a timer again.
    this.#timerAtMs = Number.NEGATIVE_INFINITY;
    this.#outer.removeEventListener('abort', this.#onOuterAbort);
  }

  #arm(atMs: number): void {
    this.#cancelTimer?.();
    this.#timerAtMs = atMs;
    this.#cancelTimer = this.#clock.after(Math.max(0, atMs - this.#clock.nowMs()), () => this.#fire());
  }

  #fire(): void {
    this.#cancelTimer = null;
    this.#timerAtMs = OFF;
    const nowMs = this.#clock.nowMs();
    let nextMs = OFF;
    for (const which of CLOCKS) {
      const atMs = this.#deadlineMs[which];
      if (atMs <= nowMs) {
        this.abort(expired(which, this.#limitMs[which]));
        return;
      }
      if (atMs < nextMs) nextMs = atMs;
    }
    if (nextMs !== OFF) this.#arm(nextMs);
  }
}

function expired(which: WatchClock, limitMs: number): UpstreamError {
  const kind = which === 'connect' ? 'unreachable' : 'timeout';
  return new UpstreamError(kind, `${WHAT_DID_NOT_COME[which]} within ${Math.round(limitMs)} ms`);
}

/** What the caller's signal means: its reason when that is classified already, else the client went away. */
function errorOfAbort(reason: unknown): UpstreamError {
  if (reason instanceof UpstreamError) return reason;
  return new UpstreamError('cancelled', 'the request was cancelled', { cause: reason });
}
