import { UpstreamError } from '../../core/failure.ts';
import type { TargetClocks } from '../../core/target.ts';
import type { AttemptWatch } from '../attempt-watch.ts';
import type { UpstreamBody } from '../upstream-body.ts';
import { ChunkState } from './chunk-state.ts';
import { SseParser, type SseSink } from './sse-parser.ts';

/** Comments keep a stream without content alive for this many idle limits; then somebody pings for a dead model. */
export const COMMENT_LIVES = 3;
/** They count for nothing while the client has not been sent anything: another server can still answer. */
export const NO_COMMENT_LIVES = 1;

export interface StreamContext {
  readonly body: UpstreamBody;
  readonly watch: AttemptWatch;
  readonly clocks: TargetClocks;
  /** The target's id, for messages. */
  readonly where: string;
}

/** Pulls one upstream stream chunk by chunk through the parser, keeps its clocks, and knows when it ended. */
export class EventSource {
  readonly state: ChunkState;
  readonly parser: SseParser;
  readonly #context: StreamContext;
  readonly #idleMs: number;
  readonly #commentLives: number;
  #contentAtMs = 0;
  #contentsSeen = 0;

  constructor(context: StreamContext, sink: SseSink, commentLives: number) {
    this.#commentLives = commentLives;
    this.#context = context;
    this.#idleMs = context.clocks.idleMs;
    this.state = new ChunkState(context.where);
    this.parser = new SseParser(sink);
  }

  /** True after the proper end. */
  get ended(): boolean {
    return this.state.done;
  }

  /** Asks the network for its next bytes. Await it and give the result to `accept`, or what it rejects with to `fail`. */
  pull(): Promise<{ readonly value?: Uint8Array | undefined }> {
    this.#startIdle(this.#context.watch);
    return this.#context.body.pull();
  }

  /** Feeds the events in the bytes to the sink. Throws UpstreamError, also the sink's own; give that to `fail` too. */
  accept({ value }: { readonly value?: Uint8Array | undefined }): void {
    // While the client is slow nobody waits for the upstream: its silence is not its fault.
    this.#context.watch.stop('idle');
    if (value === undefined) {
      this.#endOfBody();
      return;
    }
    this.parser.push(value);
    if (this.#contentsSeen === 0 && this.state.contents > 0) this.#context.watch.stop('firstToken');
    if (this.state.done) this.#endMarker();
  }

  /** Closes the socket; harmless after the end. */
  cancel(): void {
    if (!this.state.done) this.#context.body.close();
  }

  /** Closes the socket because of `error` and returns it classified. */
  fail(error: unknown): UpstreamError {
    const cause = error instanceof UpstreamError ? error : this.#context.body.fault(error);
    this.#context.watch.abort(cause);
    return cause;
  }

  #startIdle(watch: AttemptWatch): void {
    // Until the first content the first-token clock rules: a long prompt is read in silence.
    const { contents } = this.state;
    if (contents === 0) return;
    const nowMs = watch.nowMs();
    if (contents !== this.#contentsSeen) {
      this.#contentsSeen = contents;
      this.#contentAtMs = nowMs;
    }
    const lastMs = this.#contentAtMs + this.#commentLives * this.#idleMs;
    watch.start('idle', this.#idleMs, Math.min(nowMs, lastMs - this.#idleMs));
  }

  #endMarker(): void {
    this.state.checkEnd();
    this.#context.body.linger();
  }

  #endOfBody(): void {
    this.#context.body.ended();
    const rest = this.parser.end();
    // The last blank line is sometimes missing behind the marker; any other unfinished event was cut.
    if (rest?.startsWith('[DONE]')) this.state.done = true;
    this.state.checkEnd();
    this.state.done = true;
    this.#context.watch.dispose();
  }
}
