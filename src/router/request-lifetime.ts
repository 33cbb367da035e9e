import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { InferenceRequest } from '../core/request.ts';

/** Ends all of a request's work when its client leaves, or when the reply has not begun in time. */
export class RequestLifetime {
  readonly deadlineMs: number;
  readonly #controller = new AbortController();
  readonly #clientSignal: AbortSignal;
  readonly #cancelTimer: () => void;
  readonly #onClientGone = (): void => this.#controller.abort(new UpstreamError('cancelled', 'the client went away'));

  constructor(request: InferenceRequest, clock: Clock, timeoutMs: number) {
    this.deadlineMs = request.acceptedAtMs + timeoutMs;
    this.#clientSignal = request.clientSignal;
    this.#cancelTimer = clock.after(Math.max(0, this.deadlineMs - clock.nowMs()), () =>
      this.#controller.abort(new UpstreamError('timeout', `the reply did not begin within ${timeoutMs / 1000} s`)),
    );
    if (this.#clientSignal.aborted) this.#onClientGone();
    else this.#clientSignal.addEventListener('abort', this.#onClientGone, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The reply has begun: the deadline is over, the client is still watched. */
  begun(): void {
    this.#cancelTimer();
  }

  interrupt(error: UpstreamError): void {
    this.#controller.abort(error);
  }

  end(): void {
    this.#cancelTimer();
    this.#clientSignal.removeEventListener('abort', this.#onClientGone);
  }
}
