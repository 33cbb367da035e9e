import type { Caller } from './caller.ts';
import type { PromptFacts } from './prompt.ts';
import type { RateLease } from './rate-limit.ts';
import type { Route } from './route.ts';
import type { Place } from './target.ts';

export type Operation = 'chat' | 'completion' | 'responses' | 'messages' | 'embedding';

/** What the client allowed or demanded beside the body (`x-swarmrouter-*`). */
export interface RequestFence {
  /** A hard fence: only targets of this place may see the request. Null: any. */
  readonly place: Place | null;
  /** True: no stand-in model for this request. */
  readonly strictModel: boolean;
  /** The route asked for; null: the configured one. */
  readonly route: Route | null;
  /** How long the first content may take before other targets are worth their price, ms, > 0; null: as the route says. */
  readonly maxFirstTokenMs: number | null;
}

/** One validated client request. The raw bytes are kept so that unknown fields survive untouched. */
export interface InferenceRequest {
  readonly id: string;
  readonly operation: Operation;
  /** Who sent it: who pays, what is allowed. */
  readonly caller: Caller;
  /** Its place among what its caller may use at once and in a minute. Whoever has it ends it. Null: nothing is limited. */
  readonly rateLease: RateLease | null;
  /** The `model` field as sent; empty when missing. */
  readonly requestedModel: string;
  readonly stream: boolean;
  /** The client asked for `stream_options.include_usage`. */
  readonly includeUsage: boolean;
  readonly rawBody: Uint8Array;
  /** The parsed body; read it, never write to it: other attempts read it too. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly fence: RequestFence;
  /** As the client asked for it, where its key made it narrower. Default: as it is. */
  readonly fenceAsked?: RequestFence;
  readonly prompt: PromptFacts;
  /** Its last message is the beginning of the answer, which the target goes on with. */
  readonly continues: boolean;
  /** Gateways of this kind that it came through: a loop must end. */
  readonly hops: number;
  /** W3C trace context as received, passed on to local targets only; null: none. */
  readonly traceparent: string | null;
  /** Fires when the client goes away. */
  readonly clientSignal: AbortSignal;
  /** On the monotonic clock: when it was accepted. */
  readonly acceptedAtMs: number;
}
