import type { StreamBatch, StreamReply } from '../core/adapter.ts';
import { FAILURE_RULES, type UpstreamError } from '../core/failure.ts';
import type { Usage } from '../core/usage.ts';
import { AnswerSoFar } from './answer-so-far.ts';
import { asUpstreamError, type Committed, MAX_HELD_BYTES, tooMuchHeld } from './attempt.ts';
import { ContinuedPart } from './continued-part.ts';
import { type Chunk, chunksIn, eventsOf } from './stream-events.ts';

export type CommittedReply = Committed & { readonly kind: 'stream' };

/** Resolves once the part has given something new; rejects when it breaks before, or does not go on with the answer. */
export type Opens = (part: CommittedReply) => Promise<void>;

/** Finds a target that gives the rest of the answer; false: nobody can, and the failure stands. */
export type Resume = (failure: UpstreamError, answer: AnswerSoFar, opens: Opens) => Promise<boolean>;

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
  #source: StreamReply;
  #sourceEnded: boolean;
  /** Null: the first server still gives the answer, and its bytes go on as they are. */
  #part: ContinuedPart | null = null;
  /** Of a further part: comes before what is read from it. */
  #unsent: readonly Chunk[] = [];
  #cancelled = false;

  constructor(first: CommittedReply, resume: Resume) {
    this.#source = first.reply;
    this.#sourceEnded = first.ended;
    this.#resume = resume;
    this.held = first.held;
    this.#noteEvents(first.held);
  }

  get model(): string {
    return this.#source.model;
  }

  /** As the last server counted: its prompt holds the beginning of the answer. */
  get usage(): Usage | null {
    return this.#source.usage;
  }

  get producedTokens(): number {
    return this.#source.producedTokens;
  }

  get isComplete(): boolean {
    return this.#source.isComplete;
  }

  async next(): Promise<StreamBatch | null> {
    for (;;) {
      try {
        return await this.#read();
      } catch (thrown) {
        const failure = asUpstreamError(thrown);
        if (!(await this.#goOn(failure))) throw failure;
      }
    }
  }

  cancel(): void {
    this.#cancelled = true;
    this.#source.cancel();
  }

  async #read(): Promise<StreamBatch | null> {
    if (this.#unsent.length > 0) return this.#send(this.#unsent);
    const batch = this.#sourceEnded ? null : await this.#source.next();
    this.#sourceEnded = batch === null;
    if (this.#part === null) {
      if (batch !== null) this.#noteEvents(batch.bytes);
      return batch;
    }
    if (batch !== null) return this.#send(this.#part.take(chunksIn(batch.bytes)));
    const rest = this.#part.end();
    return rest.length > 0 ? this.#send(rest) : null;
  }

  #send(chunks: readonly Chunk[]): StreamBatch {
    this.#unsent = [];
    this.#note(chunks);
    return { bytes: eventsOf(chunks), hasContent: true };
  }

  #noteEvents(bytes: Uint8Array): void {
    if (this.#answer.isPlainText) this.#note(chunksIn(bytes));
  }

  #note(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) this.#answer.note(chunk);
  }

  async #goOn(failure: UpstreamError): Promise<boolean> {
    if (this.#cancelled || !FAILURE_RULES[failure.kind].tryNext || !this.#answer.mayBeContinued) return false;
    return this.#resume(failure, this.#answer, (part) => this.#open(part));
  }

  /** Nothing changes here before the part is known to go on. */
  async #open({ reply, held, ended }: CommittedReply): Promise<void> {
    const part = new ContinuedPart(this.#answer);
    const chunks = part.take(chunksIn(held));
    let hasEnded = ended;
    let heldBytes = held.length;
    while (!part.goesOn && !hasEnded) {
      const batch = await reply.next();
      if (batch === null) hasEnded = true;
      else chunks.push(...part.take(chunksIn(batch.bytes)));
      heldBytes += batch?.bytes.length ?? 0;
      if (heldBytes > MAX_HELD_BYTES) throw tooMuchHeld();
    }
    if (hasEnded) chunks.push(...part.end());
    this.#source = reply;
    this.#sourceEnded = hasEnded;
    this.#part = part;
    this.#unsent = chunks;
  }
}
