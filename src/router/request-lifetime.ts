import { Cancellation } from '../core/cancellation.ts';
import type { Deadlines, Timed } from '../core/deadlines.ts';
import { UpstreamError } from '../core/failure.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { Backlog } from './backlog.ts';

/** Ends all of a request's work when its client leaves, or when the reply has not begun in time. */
export class RequestLifetime extends Cancellation implements Timed {
  deadlineMs: number;
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;
  readonly #clientSignal: AbortSignal;
  readonly #backlog: Backlog;
  readonly #onClientGone = (): void =>
    this.#backlog.run(() => this.cancel(new UpstreamError('cancelled', 'the client went away')));

  constructor(request: InferenceRequest, deadlines: Deadlines, backlog: Backlog, timeoutMs: number) {
    super();
    this.deadlineMs = request.acceptedAtMs + timeoutMs;
    this.#timeoutMs = timeoutMs;
    this.#deadlines = deadlines;
    this.#backlog = backlog;
    this.#clientSignal = request.clientSignal;
    deadlines.watch(this);
    if (this.#clientSignal.aborted) this.#onClientGone();
    else this.#clientSignal.addEventListener('abort', this.#onClientGone);
  }

  expire(): void {
    this.begun();
    this.cancel(new UpstreamError('timeout', `the reply did not begin within ${this.#timeoutMs / 1000} s`));
  }

  /** The reply has begun: the deadline is over, the client is still watched. */
  begun(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#deadlines.forget(this);
  }

  /** The answer broke, and another target is to go on with it: the limit counts once more, until `begun`. */
  beginsAgain(nowMs: number): void {
    this.deadlineMs = nowMs + this.#timeoutMs;
    this.#deadlines.watch(this);
  }

  end(): void {
    this.begun();
    this.#clientSignal.removeEventListener('abort', this.#onClientGone);
  }
}
