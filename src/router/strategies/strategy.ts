import type { CostEstimate } from '../../core/cost.ts';
import type { ModelMatch } from '../models.ts';
import type { TargetEntry } from '../target-entry.ts';

/** A target that could serve the request, with the model it would answer with. */
export interface Candidate {
  readonly entry: TargetEntry;
  readonly match: ModelMatch;
  readonly busy: number;
  /** Infinity: no limit. */
  readonly slots: number;
  /** Nothing asked for it by name, and it would have to be loaded: only when nobody else can. */
  readonly lastResort: boolean;
  /** What asking it is expected to take. */
  readonly cost: CostEstimate;
  /** It probably has this very conversation cached. */
  readonly holdsConversation: boolean;
  /** Conversations that it probably has cached. */
  readonly conversations: number;
  /** It leaves its requests unanswered for unusually long: its equals first. */
  readonly silent: boolean;
}

export interface RankedCandidate {
  readonly candidate: Candidate;
  /** Its slots are taken: wait for one. */
  readonly waits: boolean;
  /** So long a wait is better than what stands behind it, s; null: as long as may be. */
  readonly waitAtMostSeconds: number | null;
  /** Why it stands at this place, in a few words. */
  readonly why: string;
}

/**
 * Orders the candidates of one request. Pure: the same candidates give the same order. One file each;
 * add it to the list in index.ts.
 */
export interface Strategy {
  readonly name: string;
  rank(candidates: readonly Candidate[], limits: RankLimits): RankedCandidate[];
}

/** What a request allows. */
export interface RankLimits {
  /** How long the first content may take before other targets are worth their price; null: no limit is set. */
  readonly firstToken: FirstTokenLimit | null;
}

export interface FirstTokenLimit {
  /** As it was set, s. */
  readonly setSeconds: number;
  /** What counts now, s, ≤ `setSeconds`: a part may be used up, and who comes back from the cloud must keep well below it. */
  readonly nowSeconds: number;
}
