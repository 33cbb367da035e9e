import type { FailureKind } from './failure.ts';
import type { Target, TargetSnapshot } from './target.ts';

/**
 * `unknown`: not probed yet · `up` · `warming`: up, loading its model · `down`: failed, or refused its probe ·
 * `absent`: an optional target that was never there.
 */
export type TargetHealth = 'unknown' | 'up' | 'warming' | 'down' | 'absent';

export interface TargetStats {
  /** Upstream calls since start, the cancelled ones included. */
  readonly requests: number;
  readonly errors: number;
  /** errors ÷ requests; 0 when there were none. */
  readonly errorRate: number;
  /** Over the last 256 served calls; null: none yet. */
  readonly latencyP50Ms: number | null;
  readonly latencyP95Ms: number | null;
  readonly lastError: { readonly kind: FailureKind; readonly message: string; readonly atWallMs: number } | null;
}

/** What real traffic taught about one model at one target. Null: not known yet. */
export interface LearnedModel {
  readonly model: string;
  /** Reading prompts. */
  readonly prefillTokensPerSecond: number | null;
  /** Writing one answer while nothing else runs beside it. */
  readonly decodeTokensPerSecond: number | null;
  /** From disk into memory. */
  readonly loadSeconds: number | null;
  /** What every request takes before its prompt is read. */
  readonly networkSeconds: number | null;
  readonly slots: number | null;
  readonly bytesPerToken: number | null;
  /** The context that it really has, when it cuts prompts without a word. */
  readonly contextLength: number | null;
  /** Answers that this was learned from. */
  readonly samples: number;
  /** Conversations whose prompts it probably has cached. */
  readonly conversations: number;
}

/** A target as people and metrics see it at one moment. */
export interface TargetView {
  readonly target: Target;
  readonly health: TargetHealth;
  /** Why it is not up, in words; null when it is. */
  readonly healthReason: string | null;
  readonly snapshot: TargetSnapshot | null;
  readonly inFlight: number;
  /** Requests waiting for a slot that this target may give. */
  readonly queued: number;
  /** Requests at once; null: no limit. */
  readonly slots: number | null;
  readonly stats: TargetStats;
  readonly probedAtWallMs: number | null;
  readonly learned: readonly LearnedModel[];
}
