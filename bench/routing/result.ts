import type { BenchResult, Comparison, Judgement } from '../result.ts';

/** The shape of bench/routing/results/*.json: plain data, so that the page can be made again from it at any time. */
export interface RoutingResult extends Pick<BenchResult, 'date' | 'commit' | 'machine' | 'versions' | 'quick'> {
  readonly seed: number;
  readonly seconds: number;
  readonly traces: readonly TraceSummary[];
  readonly fleets: readonly { readonly name: string; readonly says: string }[];
  readonly policies: readonly { readonly name: string; readonly says: string }[];
  /** The policy that the targets are for. */
  readonly own: string;
  readonly comparisons: readonly RunGroup[];
  readonly overloads: readonly RunGroup[];
  readonly frontiers: readonly Frontier[];
  readonly judgements: readonly Judgement[];
  readonly calibration: readonly Comparison[];
}

export interface TraceSummary {
  readonly name: string;
  readonly says: string;
  readonly generated: boolean;
  readonly requests: number;
  readonly minutes: number;
  readonly meanInputTokens: number;
  readonly meanOutputTokens: number;
  readonly infiniteCacheHitShare: number;
}

/** All policies on the same trace and fleet. */
export interface RunGroup {
  readonly trace: string;
  readonly fleet: string;
  /** Which of the perfect-information policies stands for them here. */
  readonly perfect: string;
  readonly runs: readonly RunFigures[];
}

export interface RunFigures {
  readonly policy: string;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Cached ÷ all prompt tokens. */
  readonly hitShare: number;
  readonly overflowShare: number;
  readonly dollars: number;
  /** First-token times, "5" to "99.5" percent; absent where no plot needs them. */
  readonly quantilesMs?: Readonly<Record<string, number>>;
}

export interface Frontier {
  readonly trace: string;
  readonly fleet: string;
  readonly families: readonly FrontierFamily[];
}

export interface FrontierFamily {
  readonly name: string;
  readonly knob: string;
  readonly points: readonly (RunFigures & { readonly setting: string })[];
}
