import type { CostEstimate } from './cost.ts';
import type { Place, Target, TargetId } from './target.ts';

/** One place to try, in order. */
export interface PlanStep {
  readonly target: Target;
  /** The model name to ask this target for. */
  readonly model: string;
  readonly modelLoaded: boolean;
  /** All its slots are taken: the request waits in the queue for one. */
  readonly waits: boolean;
  /** So long a wait is better than the steps behind it, ms; null: as long as may be. */
  readonly waitAtMostMs: number | null;
  /** It rests after failures: asked only when all others failed, and only within its retry budget. */
  readonly resting: boolean;
  /** Nobody else is left: it is asked once also when its retry budget is spent. */
  readonly lastHope: boolean;
  /** Why this target, in a few plain ASCII words: ends up in `x-swarmrouter-reason`. */
  readonly reason: string;
  /** What it is expected to cost; null: not estimated. */
  readonly estimate: CostEstimate | null;
}

/**
 * `too-long`: the prompt does not fit · `incapable`: lacks what the request needs (images, tools) ·
 * `fenced`: the request itself excludes it · `down` · `cooling`: asked to be left alone for a while · `absent`: never
 * there · `no-model`: lacks what was asked for.
 */
export type LeftOutKind = 'fenced' | 'down' | 'cooling' | 'absent' | 'no-model' | 'too-long' | 'incapable';

/** A target that was left out, and why. */
export interface LeftOut {
  readonly kind: LeftOutKind;
  readonly targetId: TargetId;
  readonly place: Place;
  readonly reason: string;
}

export interface RoutePlan {
  readonly steps: readonly [PlanStep, ...PlanStep[]];
  readonly leftOut: readonly LeftOut[];
  /** Of the prompt, estimated from its bytes; null: not estimated. */
  readonly promptTokens: number | null;
  /** Local targets could serve it, but not before the limit for the first token. */
  readonly spills: boolean;
  /** Upstream calls in all, the first included. */
  readonly maxAttempts: number;
}

/** Nobody can serve it: what the client is told, and the reason for each target. */
export interface NoRoute {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly leftOut: readonly LeftOut[];
  /** When asking again may help; null: it will not. */
  readonly retryAfterMs: number | null;
}
