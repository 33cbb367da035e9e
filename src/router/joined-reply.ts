import type { StreamBatch, StreamReply } from '../core/adapter.ts';
import { FAILURE_RULES, UpstreamError } from '../core/failure.ts';
import type { Usage } from '../core/usage.ts';
import { AnswerSoFar } from './answer-so-far.ts';
import { asUpstreamError, type Committed } from './attempt.ts';

export type CommittedReply = Committed & { readonly kind: 'stream' };

/** Finds another target for the rest of the answer; null: nobody can, and the failure stands. */
export type Resume = (failure: UpstreamError, answer: AnswerSoFar) => Promise<CommittedReply | null>;

/**
 * A stream that outlives its server (route option `stream_recovery: continue`): when it breaks, the text sent so far is
 * given to another target as the beginning of its answer, and that target's stream goes on where the first one ended.
 */
export class JoinedReply implements StreamReply {
  readonly kind = 'stream';
  /** What was held back until the first content. */
  readonly held: Uint8Array;
  readonly #answer = new AnswerSoFar();
  readonly #resume: Resume;
  #part: CommittedReply;
  /** Of a further part: comes before what is read from it. */
  #unsent: Uint8Array | null = null;
  #cancelled = false;

  constructor(first: CommittedReply, resume: Resume) {
    this.#part = first;
    this.#resume = resume;
    this.held = this.#answer.take(first.held);
  }

  get model(): string {
    return this.#part.reply.model;
  }

  /** As the last server reports it: its prompt holds the beginning of the answer. */
  get usage(): Usage | null {
    return this.#part.reply.usage;
  }

  async next(): Promise<StreamBatch | null> {
    for (;;) {
      try {
        const batch = await this.#nextOfPart();
        return batch === null ? null : { bytes: this.#answer.take(batch.bytes), hasContent: batch.hasContent };
      } catch (thrown) {
        await this.#goOn(asUpstreamError(thrown));
      }
    }
  }

  cancel(): void {
    this.#cancelled = true;
    this.#part.reply.cancel();
  }

  async #nextOfPart(): Promise<StreamBatch | null> {
    const bytes = this.#unsent;
    if (bytes === null) return this.#part.ended ? null : this.#part.reply.next();
    this.#unsent = null;
    return { bytes, hasContent: true };
  }

  /** Throws the failure when the answer cannot be continued. */
  async #goOn(failure: UpstreamError): Promise<void> {
    if (this.#cancelled || !FAILURE_RULES[failure.kind].tryNext || !this.#answer.mayBeContinued) throw failure;
    const next = await this.#resume(failure, this.#answer);
    if (next === null) throw failure;
    if (this.#cancelled) {
      next.reply.cancel();
      throw new UpstreamError('cancelled', 'the client went away');
    }
    this.#part = next;
    this.#unsent = next.held;
    this.#answer.beginNextPart();
  }
}
