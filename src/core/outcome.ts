import type { FailureKind } from './failure.ts';
import type { LeftOut, RoutePlan } from './plan.ts';
import type { InferenceRequest } from './request.ts';
import type { AdapterKind, Place, TargetId } from './target.ts';
import type { Usage } from './usage.ts';

/** One upstream call as it ended. */
export interface AttemptRecord {
  readonly targetId: TargetId;
  readonly adapterKind: AdapterKind;
  readonly place: Place;
  /** The model name asked for. */
  readonly model: string;
  readonly reason: string;
  readonly failure: FailureKind | null;
  /** The failure in words, without secrets; null when it served. */
  readonly failureMessage: string | null;
  readonly status: number | null;
  readonly queuedMs: number;
  readonly durationMs: number;
  /** Until the first real content; null: none came. Whole replies: until the reply. */
  readonly firstContentMs: number | null;
  /** It answered a part of the prompt only: it cut the rest, which did not fit, without a word. Default false. */
  readonly promptCut?: boolean;
  /** Nobody would have paid for the call: it was not made. Default false. */
  readonly notMade?: boolean;
  /** The limit of its answer, tokens, that a hard budget set because the client set none. Default: none. */
  readonly answerLimit?: number;
  /** Fields of the body that the caller's key or hard budget kept from being sent on. Default: none. */
  readonly droppedFields?: readonly string[];
}

/** How many of them were upstream calls. */
export function callsOf(attempts: readonly AttemptRecord[]): number {
  return attempts.reduce((calls, { notMade }) => (notMade === true ? calls : calls + 1), 0);
}

/** What is kept of a request until its outcome is recorded; a long stream must not hold its prompt in memory. */
export type RequestFacts = Omit<InferenceRequest, 'body' | 'rawBody' | 'prompt' | 'clientSignal' | 'continues'> & {
  /** Null unless request bodies are logged. */
  readonly rawBody: Uint8Array | null;
};

/** The plan that was made when the request came, before anything was tried. */
export type FirstPlan = Pick<RoutePlan, 'steps' | 'promptTokens' | 'spills'>;

interface Common {
  readonly request: RequestFacts;
  readonly attempts: readonly AttemptRecord[];
  readonly leftOut: readonly LeftOut[];
  /** Null: nobody could be planned. */
  readonly plan: FirstPlan | null;
  readonly durationMs: number;
}

interface Answered extends Common {
  /** The attempt that answered: the last of `attempts`. */
  readonly by: AttemptRecord;
  /** The model that the upstream says answered. */
  readonly model: string;
  readonly usage: Usage | null;
}

/** Complete answer. */
export interface Served extends Answered {
  readonly kind: 'served';
}
/** Broke after its first content had been sent; the client got an error event. */
export interface Cut extends Answered {
  readonly kind: 'cut';
  readonly failure: FailureKind;
}
/** The client went away; `by` is null when nobody had begun to answer. */
export interface Abandoned extends Common {
  readonly kind: 'abandoned';
  readonly by: AttemptRecord | null;
  readonly usage: Usage | null;
}
/** Every attempt failed. */
export interface Exhausted extends Common {
  readonly kind: 'exhausted';
  readonly clientStatus: number;
  readonly clientCode: string;
}
/** Refused before any attempt: nobody can serve it. */
export interface Refused extends Common {
  readonly kind: 'refused';
  readonly clientStatus: number;
  readonly clientCode: string;
}

/** How one client request ended: exactly one each; logs, metrics, status and, later, ledger and traces derive from it. */
export type Outcome = Served | Cut | Abandoned | Exhausted | Refused;

/** Where outcomes go. Must not throw and must not block. */
export interface OutcomeSink {
  record(outcome: Outcome): void;
}
