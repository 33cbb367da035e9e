import type { CostEstimate } from './cost.ts';
import type { FailureKind } from './failure.ts';
import type { Outcome } from './outcome.ts';
import type { LeftOutKind } from './plan.ts';
import type { Place, TargetId } from './target.ts';

/** A step of a plan as it is kept: a target stands for itself by its id. */
export interface PlannedStep {
  readonly targetId: TargetId;
  readonly place: Place;
  readonly model: string;
  readonly waits: boolean;
  readonly reason: string;
  /** Null: not estimated. */
  readonly estimate: CostEstimate | null;
}

export interface DecisionAttempt {
  readonly targetId: TargetId;
  readonly place: Place;
  readonly model: string;
  /** Null: it served. */
  readonly failure: FailureKind | null;
  /** In words that are never a server's. */
  readonly failureMessage: string | null;
  readonly status: number | null;
  readonly queuedMs: number;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
}

/** Why a request went where it went, and what became of it. Small plain data: no words of the prompt, no credential. */
export interface Decision {
  readonly requestId: string;
  /** When the request came. */
  readonly atWallMs: number;
  readonly outcome: Outcome['kind'];
  /** The status that the client saw. */
  readonly status: number;
  /** The error code that it got; null: none. */
  readonly code: string | null;
  readonly stream: boolean;
  readonly modelAsked: string;
  /** The fields about the answer are null when nobody began to answer. */
  readonly modelAnswered: string | null;
  readonly targetId: TargetId | null;
  readonly place: Place | null;
  readonly reason: string | null;
  readonly durationMs: number;
  readonly firstContentMs: number | null;
  readonly queuedMs: number;
  readonly promptTokens: Predicted;
  readonly cachedTokens: Predicted;
  readonly completionTokens: number | null;
  /** The server read a part of the prompt only. */
  readonly promptCut: boolean;
  readonly steps: Listed<PlannedStep>;
  readonly leftOut: Listed<{ readonly targetId: TargetId; readonly kind: LeftOutKind; readonly reason: string }>;
  /** Also those that were not made, as no budget had room for them. */
  readonly attempts: Listed<DecisionAttempt>;
  /** Upstream calls that were made. */
  readonly calls: number;
}

/** What was estimated, and what the server reported; null: not known. */
export interface Predicted {
  readonly estimated: number | null;
  readonly reported: number | null;
}

/** The first ones of a list, and how many there were in all. */
export interface Listed<Item> {
  readonly items: readonly Item[];
  readonly total: number;
}

export interface DecisionQuery {
  /** At most this many, ≥ 1. */
  readonly limit: number;
  /** Only those that this target answered or was asked for. Null: any. */
  readonly targetId: TargetId | null;
  /** Only those that asked for this model, or were answered by it. Null: any. */
  readonly model: string | null;
  /** Only requests that came at this time or later. Null: any. */
  readonly sinceWallMs: number | null;
}

/** The latest decisions, to be looked at. */
export interface DecisionLog {
  /** How many it keeps; 0: none. */
  readonly capacity: number;
  /** Newest first. */
  recent(query: DecisionQuery): readonly Decision[];
  /** Null: not kept, or not any more. */
  find(requestId: string): Decision | null;
}
