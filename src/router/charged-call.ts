import { Cancellation } from '../core/cancellation.ts';
import type { UpstreamError } from '../core/failure.ts';
import type { AttemptResult } from './attempt.ts';
import { type Drain, type Drains, readOn } from './drains.ts';

/** The client has left before the answer began; the call goes on without it. */
interface Left {
  readonly drain: Drain;
  readonly cause: UpstreamError;
}

/**
 * A call whose provider charges it to its end, whatever the client does: that its client leaves ends the request, but not
 * the call. Whatever else ends the request ends it too.
 */
export class ChargedCall {
  /** The call's own. */
  readonly cancellation = new Cancellation();
  readonly #drains: Drains;
  #leave: ((left: Left) => void) | null = null;

  constructor(request: Cancellation, clientSignal: AbortSignal, drains: Drains) {
    this.#drains = drains;
    // What has not begun is not to begin for nobody.
    if (request.cause !== null) this.cancellation.cancel(request.cause);
    request.onCancel((cause) => {
      if (!clientSignal.aborted) this.cancellation.cancel(cause);
      // Past the commit point its stream knows what to do.
      else if (this.#leave !== null) this.#goOnAlone(this.#leave, cause);
    });
  }

  /** How the attempt ended; an error: its client left before, and `settle` will be told how it ended. */
  async resultOf(
    attempt: Promise<AttemptResult>,
    settle: (result: AttemptResult) => Promise<void> | null,
  ): Promise<AttemptResult | UpstreamError> {
    const left = new Promise<Left>((resolve) => {
      this.#leave = resolve;
    });
    const first = await Promise.race([attempt, left]);
    this.#leave = null;
    if ('kind' in first) return first;
    void this.#readOn(attempt, first.drain, settle);
    return first.cause;
  }

  #goOnAlone(leave: (left: Left) => void, cause: UpstreamError): void {
    const drain = this.#drains.begin(() => this.cancellation.cancel(cause));
    if (drain === null) this.cancellation.cancel(cause);
    else leave({ drain, cause });
  }

  /** Whatever fails, its place must be free again: a stop waits for it. */
  async #readOn(
    attempt: Promise<AttemptResult>,
    drain: Drain,
    settle: (result: AttemptResult) => Promise<void> | null,
  ): Promise<void> {
    try {
      const result = await attempt;
      if (result.kind === 'stream') await readOn(result.reply, drain.mostBytes);
      void this.#drains.settle(() => settle(result));
    } catch (error) {
      this.#drains.sayUnbilled(error);
    } finally {
      drain.end();
    }
  }
}
