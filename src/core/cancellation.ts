import type { UpstreamError } from './failure.ts';

/**
 * Why and when a request's work must stop: the client left, its time is over, or the gateway stops. Plain callbacks
 * in place of an AbortSignal, because each DOM signal and listener costs microseconds on every request.
 */
export class Cancellation {
  #cause: UpstreamError | null = null;
  #listeners: ((cause: UpstreamError) => void)[] = [];

  /** Null: not cancelled. */
  get cause(): UpstreamError | null {
    return this.#cause;
  }

  /** Only the first cause counts. */
  cancel(cause: UpstreamError): void {
    if (this.#cause !== null) return;
    this.#cause = cause;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener(cause);
  }

  /** Called once, at once when it is cancelled already. */
  onCancel(listener: (cause: UpstreamError) => void): void {
    if (this.#cause !== null) listener(this.#cause);
    else this.#listeners.push(listener);
  }

  /** Takes a listener back. */
  forget(listener: (cause: UpstreamError) => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }
}
