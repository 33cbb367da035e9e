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
  /** It leaves its requests unanswered for unusually long: its equals first. */
  readonly silent: boolean;
}

export interface RankedCandidate {
  readonly candidate: Candidate;
  /** Its slots are taken: wait for one. */
  readonly waits: boolean;
  /** Why it stands at this place, in a few words. */
  readonly why: string;
}

/**
 * Orders the candidates of one request. Pure: the same candidates give the same order. One file each;
 * add it to the list in index.ts.
 */
export interface Strategy {
  readonly name: string;
  rank(candidates: readonly Candidate[]): RankedCandidate[];
}
