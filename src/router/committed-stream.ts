import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import { asUpstreamError, type Committed } from './attempt.ts';

type CommittedStreamReply = Committed & { readonly kind: 'stream' };

export interface ServedStream {
  /** Bytes for the client; null after the last ones. Rejects with UpstreamError when the answer broke. */
  next(): Promise<Uint8Array | null>;
  /** The client went away. */
  cancel(): void;
}

export interface Finished {
  readonly error: UpstreamError | null;
  /** From the commit point to the end. */
  readonly streamedMs: number;
}

/** A stream past its commit point: hands on bytes, and says exactly once how it ended. */
export class CommittedStream implements ServedStream {
  readonly #source: CommittedStreamReply;
  readonly #clock: Clock;
  readonly #committedAtMs: number;
  readonly #finish: (finished: Finished) => void;
  #held: Uint8Array | null;
  #finished = false;

  constructor(source: CommittedStreamReply, clock: Clock, finish: (finished: Finished) => void) {
    this.#source = source;
    this.#clock = clock;
    this.#committedAtMs = clock.nowMs();
    this.#finish = finish;
    this.#held = source.held;
  }

  async next(): Promise<Uint8Array | null> {
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      return held;
    }
    if (this.#finished) return null;
    if (this.#source.ended) return this.#end(null);
    try {
      const batch = await this.#source.reply.next();
      if (batch === null) return this.#end(null);
      return batch.bytes;
    } catch (thrown) {
      const error = asUpstreamError(thrown);
      this.#end(error);
      throw error;
    }
  }

  cancel(): void {
    this.#source.reply.cancel();
    this.#end(new UpstreamError('cancelled', 'the client went away'));
  }

  #end(error: UpstreamError | null): null {
    if (!this.#finished) {
      this.#finished = true;
      this.#finish({ error, streamedMs: this.#clock.nowMs() - this.#committedAtMs });
    }
    return null;
  }
}
