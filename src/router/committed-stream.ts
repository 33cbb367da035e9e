import type { Clock } from '../core/clock.ts';
import type { Deadlines, Timed } from '../core/deadlines.ts';
import { UpstreamError, withoutSecret } from '../core/failure.ts';
import type { Secret } from '../core/secret.ts';
import { asUpstreamError } from './attempt.ts';
import type { Backlog } from './backlog.ts';
import { type Drain, readOn } from './drains.ts';
import type { CommittedReply } from './joined-reply.ts';
import { onRecord } from './on-record.ts';

export interface ServedStream {
  /** Bytes for the client; null after the last ones. Rejects with UpstreamError when the answer broke. */
  next(): Promise<Uint8Array | null>;
  /** The client went away. */
  cancel(): void;
  /** Set by whoever writes to the client: called when the client has not taken anything for too long. */
  onStall: (() => void) | null;
}

/** What all streams share. */
export interface StreamTime {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly backlog: Backlog;
  readonly stallMs: number;
}

export interface Finished {
  readonly error: UpstreamError | null;
  /** Resolves when the rest has been read although the client has left; null: nothing is read any more. */
  readonly drained: Promise<void> | null;
}

/**
 * A stream past its commit point: hands on bytes, and says exactly once how it ended. A client that stops reading
 * would hold a slot for ever (faults F-30), so it is let go when it takes nothing for `stallMs`.
 */
export class CommittedStream implements ServedStream, Timed {
  onStall: (() => void) | null = null;
  /** While bytes wait for the client. */
  deadlineMs: number;
  readonly #source: CommittedReply;
  /** The key of the target that streams now, which its errors must not repeat. */
  readonly #secret: () => Secret | null;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #backlog: Backlog;
  readonly #stallMs: number;
  /** Resolves when what it cost cannot be lost any more; null: it is so already. */
  readonly #finish: (finished: Finished) => Promise<void> | null;
  readonly #drain: (cancel: () => void) => Drain | null;
  /** The latest read. */
  #reading: Promise<unknown> | null = null;
  #held: Uint8Array | null;
  #finished = false;

  /** `drain`: asked when the client leaves; null: the call is ended. */
  constructor(
    source: CommittedReply,
    secret: () => Secret | null,
    time: StreamTime,
    finish: (finished: Finished) => Promise<void> | null,
    drain: (cancel: () => void) => Drain | null = () => null,
  ) {
    this.#source = source;
    this.#secret = secret;
    this.#clock = time.clock;
    this.#deadlines = time.deadlines;
    this.#backlog = time.backlog;
    this.#stallMs = time.stallMs;
    this.#finish = finish;
    this.#drain = drain;
    this.#held = source.held;
    this.deadlineMs = time.clock.nowMs() + time.stallMs;
    time.deadlines.watch(this);
  }

  async next(): Promise<Uint8Array | null> {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    const held = this.#held;
    if (held !== null) {
      this.#held = null;
      return this.#given(held);
    }
    if (this.#finished) return null;
    if (this.#source.ended) return this.#endOnRecord(null);
    try {
      const reading = this.#source.reply.next();
      this.#reading = reading;
      const batch = await reading;
      // The client left meanwhile: a finished stream must not be watched again.
      if (this.#finished) return null;
      return batch === null ? await this.#endOnRecord(null) : this.#given(batch.bytes);
    } catch (thrown) {
      const error = withoutSecret(asUpstreamError(thrown), this.#secret());
      await this.#endOnRecord(error);
      throw error;
    }
  }

  cancel(): void {
    if (this.#finished) return;
    this.#backlog.run(() => this.#leave(new UpstreamError('cancelled', 'the client went away')));
  }

  expire(): void {
    this.#leave(new UpstreamError('cancelled', `the client took nothing for ${this.#stallMs / 1000} s`));
    this.onStall?.();
  }

  #given(bytes: Uint8Array): Uint8Array {
    this.deadlineMs = this.#clock.nowMs() + this.#stallMs;
    this.#deadlines.watch(this);
    return bytes;
  }

  /** A client sees the end of its answer only once what that cost cannot be lost any more. */
  async #endOnRecord(error: UpstreamError | null): Promise<null> {
    const recorded = onRecord(this.#end(error), { clock: this.#clock, deadlines: this.#deadlines });
    const problem = recorded === null ? null : await recorded;
    if (problem !== null && error === null) throw problem;
    return null;
  }

  #leave(error: UpstreamError): void {
    if (this.#finished) return;
    const { reply } = this.#source;
    const drain = this.#drain(() => reply.cancel());
    if (drain === null) reply.cancel();
    const read = drain === null ? null : readOn(reply, drain.mostBytes, this.#reading);
    this.#end(error, read);
    // Last: by then its bill has been told.
    if (drain !== null) void read?.then(() => drain.end());
  }

  #end(error: UpstreamError | null, drained: Promise<void> | null = null): Promise<void> | null {
    if (this.#finished) return null;
    this.#finished = true;
    this.#deadlines.forget(this);
    return this.#finish({ error, drained });
  }
}
