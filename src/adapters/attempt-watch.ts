import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Deadlines, Timed } from '../core/deadlines.ts';
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
 * The clocks and the abort of one attempt. Deadlines are plain numbers and all attempts share one timer, so a chunk
 * of a stream costs two number writes instead of two timer calls.
 */
export class AttemptWatch implements Timed {
  readonly startedAtMs: number;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #controller = new AbortController();
  readonly #cancellation: Cancellation;
  readonly #atMs: Record<WatchClock, number> = { connect: OFF, firstByte: OFF, firstToken: OFF, idle: OFF, total: OFF };
  readonly #limitMs: Record<WatchClock, number> = { connect: 0, firstByte: 0, firstToken: 0, idle: 0, total: 0 };
  readonly #onCancel = (cause: UpstreamError): void => this.abort(cause);
  #cause: UpstreamError | null = null;
  #disposed = false;

  constructor(clock: Clock, deadlines: Deadlines, cancellation: Cancellation) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#cancellation = cancellation;
    this.startedAtMs = clock.nowMs();
    cancellation.onCancel(this.#onCancel);
  }

  /** Fires when a clock ran out, when the request was cancelled, or on `abort`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why it was aborted; null: it was not. */
  get cause(): UpstreamError | null {
    return this.#cause;
  }

  /** The earliest of its clocks. */
  get deadlineMs(): number {
    const { connect, firstByte, firstToken, idle, total } = this.#atMs;
    return Math.min(connect, firstByte, firstToken, idle, total);
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /** Starts or moves a clock: it runs out `limitMs` after `fromMs`, which is now or earlier. */
  start(which: WatchClock, limitMs: number, fromMs: number): void {
    if (this.#disposed) return;
    this.#limitMs[which] = limitMs;
    this.#atMs[which] = fromMs + limitMs;
    this.#deadlines.watch(this);
  }

  stop(which: WatchClock): void {
    this.#atMs[which] = OFF;
  }

  /** Closes the upstream's socket and makes the pending read fail with `cause`. Only the first cause counts. */
  abort(cause: UpstreamError): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    this.dispose();
    this.#controller.abort(cause);
  }

  /** Lets go of the clocks and of the request. Harmless when repeated. */
  dispose(): void {
    this.#disposed = true;
    this.#deadlines.forget(this);
    this.#cancellation.forget(this.#onCancel);
  }

  /** Called by the shared timer. */
  expire(nowMs: number): void {
    for (const which of CLOCKS) {
      if (this.#atMs[which] > nowMs) continue;
      const kind = which === 'connect' ? 'unreachable' : 'timeout';
      const limit = Math.round(this.#limitMs[which]);
      this.abort(new UpstreamError(kind, `${WHAT_DID_NOT_COME[which]} within ${limit} ms`));
      return;
    }
  }
}
