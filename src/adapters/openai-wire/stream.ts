import type { StreamBatch, StreamReply } from '../../core/adapter.ts';
import type { UpstreamError } from '../../core/failure.ts';
import type { Usage } from '../../core/usage.ts';
import type { ChunkFacts } from './chunk-state.ts';
import { COMMENT_LIVES, EventSource, type StreamContext } from './event-source.ts';
import type { SseSink } from './sse-parser.ts';

const encoder = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/** An upstream stream as the client gets it: the same events, without comments, end marker and unasked usage. */
export class WireStream implements StreamReply, SseSink {
  readonly kind = 'stream';
  readonly #source: EventSource;
  readonly #includeUsage: boolean;
  /** Events that stand one behind the other in the window are handed on as one run. */
  #runStart = -1;
  #runEnd = -1;
  #pieces: Uint8Array[] = [];
  #hasContent = false;
  #hasEvents = false;
  /** What ended the stream, kept back until the events before it have been handed on. */
  #failure: UpstreamError | null = null;

  constructor(context: StreamContext, includeUsage: boolean) {
    this.#source = new EventSource(context, this, COMMENT_LIVES);
    this.#includeUsage = includeUsage;
  }

  get model(): string {
    return this.#source.state.model;
  }

  get usage(): Usage | null {
    return this.#source.state.usage;
  }

  get producedTokens(): number {
    return this.#source.state.producedTokens;
  }

  get isComplete(): boolean {
    return this.#source.state.isComplete;
  }

  async next(): Promise<StreamBatch | null> {
    if (this.#failure !== null) throw this.#failure;
    const source = this.#source;
    while (!source.ended) {
      try {
        source.accept(await source.pull());
      } catch (error) {
        this.#failure = source.fail(error);
        if (!this.#hasEvents) throw this.#failure;
      }
      if (this.#hasEvents) return this.#batch();
    }
    return null;
  }

  cancel(): void {
    this.#source.cancel();
  }

  event(type: string, data: string, start: number, end: number): void {
    const { state, parser } = this.#source;
    const facts = state.take(type, data);
    if (facts === null) return;
    this.#hasEvents = true;
    if (facts.hasContent) this.#hasContent = true;
    if (facts.hasUsage && !this.#includeUsage) this.#withoutUsage(facts);
    else if (start === -1) this.#append(canonical(data));
    // The parser's own store is written over soon; the network's chunk is ours to keep.
    else if (parser.windowIsChunk) this.#appendRun(start, end);
    else this.#append(parser.window.slice(start, end));
  }

  /** The client did not ask for usage: a chunk for nothing else is dropped, from others the field is taken out. */
  #withoutUsage({ chunk, hasChoices }: ChunkFacts): void {
    if (!hasChoices) return;
    const { usage: _, ...rest } = chunk;
    this.#append(canonical(JSON.stringify(rest)));
  }

  #append(bytes: Uint8Array): void {
    this.#flushRun();
    this.#pieces.push(bytes);
  }

  #appendRun(start: number, end: number): void {
    if (start !== this.#runEnd) {
      this.#flushRun();
      this.#runStart = start;
    }
    this.#runEnd = end;
  }

  #flushRun(): void {
    if (this.#runEnd === -1) return;
    const { window } = this.#source.parser;
    const whole = this.#runStart === 0 && this.#runEnd === window.length;
    this.#pieces.push(whole ? window : window.subarray(this.#runStart, this.#runEnd));
    this.#runStart = -1;
    this.#runEnd = -1;
  }

  #batch(): StreamBatch {
    this.#flushRun();
    const pieces = this.#pieces;
    const bytes = pieces.length < 2 ? (pieces[0] ?? NO_BYTES) : Buffer.concat(pieces);
    const hasContent = this.#hasContent;
    this.#pieces = [];
    this.#hasContent = false;
    this.#hasEvents = false;
    return { bytes, hasContent };
  }
}

/** An event in the one form that is sent to clients. A raw line feed in JSON is white space between tokens. */
export function canonical(data: string): Uint8Array {
  return encoder.encode(`data: ${data.includes('\n') ? data.replaceAll('\n', ' ') : data}\n\n`);
}
