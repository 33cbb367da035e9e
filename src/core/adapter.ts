import type { SpendingTerms } from './billing.ts';
import type { Cancellation } from './cancellation.ts';
import type { Clock } from './clock.ts';
import type { InferenceRequest, Operation } from './request.ts';
import type { AdapterKind, Target, TargetSnapshot } from './target.ts';
import type { Usage } from './usage.ts';

/** One attempt as an adapter sees it. */
export interface UpstreamCall {
  readonly target: Target;
  /** The model name (Azure: deployment) to ask this target for. */
  readonly model: string;
  /** The target says that the model is in memory: the loaded-model clocks apply, else the warm-up clock. */
  readonly modelLoaded: boolean;
  readonly request: InferenceRequest;
  /** What it may cost at most; null: nothing is said. */
  readonly terms: SpendingTerms | null;
  /** To be called once when a reply that is read to its end first has its first real content. */
  readonly onFirstContent: () => void;
  /** To be called when fields of the body are not sent on because of the terms or of who asks, with their names. */
  readonly onNotSentOn: (fields: readonly string[]) => void;
}

/** A finished reply in the client's dialect. */
export interface WholeReply {
  readonly kind: 'whole';
  readonly bytes: Uint8Array;
  /** The `model` that the upstream says answered. */
  readonly model: string;
  readonly usage: Usage | null;
  /** About how many tokens it has; as `usage` says, where it is there. */
  readonly producedTokens: number;
}

/** Bytes of one or more complete SSE events, ready for the client. */
export interface StreamBatch {
  /** May be empty: events that the client must not see (a usage chunk it did not ask for). */
  readonly bytes: Uint8Array;
  /** It holds real text, reasoning or a tool call: the commit point. */
  readonly hasContent: boolean;
}

/** An open stream. Exactly one reader, which either reads to the end or cancels. */
export interface StreamReply {
  readonly kind: 'stream';
  /**
   * The next events; null after the upstream's proper end marker. The end marker itself is not in the bytes:
   * whoever answers the client writes it, last. Rejects only with UpstreamError.
   */
  next(): Promise<StreamBatch | null>;
  /** Closes the upstream's socket. Harmless after the end. */
  cancel(): void;
  /** Known once the first event has been read; empty before. */
  readonly model: string;
  /** Known at the end, if the upstream reported it. */
  readonly usage: Usage | null;
  /** About how many tokens of content came so far: servers send nearly always one an event. */
  readonly producedTokens: number;
  /** All of the answer has come. */
  readonly isComplete: boolean;
}

export type UpstreamReply = WholeReply | StreamReply;

/** One upstream wire family. Stateless: one instance serves many targets. */
export interface ProviderAdapter {
  readonly kind: AdapterKind;
  readonly operations: ReadonlySet<Operation>;
  /** Requests at once on a local target that reports no slots. */
  readonly defaultSlots: number;
  /** It reads a prompt to its end also when its client has left: the slot stays busy for a while. */
  readonly finishesPrompt: boolean;
  /** It reports only those tokens of a prompt that it had to read; what it had cached is not told. */
  readonly countsOnlyRead: boolean;
  /** A request for a model that is on disk makes the server load it. */
  readonly loadsOnDemand: boolean;
  /** Models that it keeps in memory before a load throws another one out; null: no limit of its own. */
  readonly modelsInMemory: number | null;
  /** It goes on with an assistant's message that stands last, and answers with the rest alone. */
  readonly continuesAnswers: boolean;
  /**
   * Resolves once the upstream accepted (whole replies: once complete and checked); rejects, then or while
   * streaming, only with UpstreamError. Owns the connect, first-byte, first-token and idle clocks.
   */
  call(call: UpstreamCall, cancellation: Cancellation): Promise<UpstreamReply>;
  /** Is it up, which models, which are loaded, how many slots? Never loads a model, never spends a token. */
  probe(target: Target, signal: AbortSignal): Promise<TargetSnapshot>;
}

/** What every adapter is made with. */
export interface AdapterTools {
  readonly clock: Clock;
  /** Does the gateway itself listen on this address and port? Then no target is called there. Default: nowhere. */
  readonly isOwnListener?: (address: string, port: number) => boolean;
}
