/** The shape of bench/results/*.json: plain data, so that the page can be made again from it at any time. */

export interface BenchResult {
  /** YYYY-MM-DD, UTC. */
  readonly date: string;
  /** Short hash; `+changes` when the checkout was not clean; null outside git. */
  readonly commit: string | null;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryMb: number;
    readonly kernel: string;
    /** Each process had a core of its own or shared with the tools, see docs/benchmarks.md. */
    readonly pinned: boolean;
    /** Load average over the minute before the first round: what else was going on. */
    readonly loadBefore: number;
  };
  readonly versions: { readonly swarmrouter: string; readonly bun: string; readonly node: string };
  readonly quick: boolean;
  readonly figures: readonly Figure[];
}

/** One thing measured for several subjects in turns. */
export interface Figure {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  /** How it was measured, one sentence each; numbers that matter for a comparison included. */
  readonly settings: readonly string[];
  readonly measurements: readonly Measurement[];
  readonly judgements: readonly Judgement[];
  /** Worth knowing, but promised to nobody. */
  readonly comparisons: readonly Comparison[];
  /** Of an earlier run than the rest of the result; missing: of the same. */
  readonly measured?: MeasuredAt;
}

export interface MeasuredAt {
  readonly date: string;
  readonly commit: string | null;
}

export interface Comparison {
  readonly claim: string;
  readonly value: number;
  readonly unit: string;
}

export interface Measurement {
  readonly subject: string;
  /** One value a round, in the order of the rounds. */
  readonly rounds: readonly number[];
  readonly median: number;
}

/** A promise and whether it was kept. */
export interface Judgement {
  readonly claim: string;
  readonly value: number;
  readonly unit: string;
  readonly bound: 'at most' | 'at least' | 'under' | 'more than';
  readonly limit: number;
  readonly met: boolean;
}

export function isMet(value: number, bound: Judgement['bound'], limit: number): boolean {
  if (!Number.isFinite(value)) return false;
  switch (bound) {
    case 'at most':
      return value <= limit;
    case 'at least':
      return value >= limit;
    case 'under':
      return value < limit;
    case 'more than':
      return value > limit;
  }
}

/** The result of a run of some scenarios, and what an earlier whole run has of the others. */
export function updated(earlier: BenchResult, partial: BenchResult): BenchResult {
  const measured = { date: earlier.date, commit: earlier.commit };
  const renewed = new Map(partial.figures.map((figure) => [figure.id, figure]));
  const kept = earlier.figures.map((figure) => renewed.get(figure.id) ?? { measured, ...figure });
  const known = new Set(earlier.figures.map(({ id }) => id));
  return { ...partial, figures: [...kept, ...partial.figures.filter(({ id }) => !known.has(id))] };
}

/** Judges the value as it will be stored: rounded to five significant digits. */
export function judge(claim: string, value: number, unit: string, bound: Judgement['bound'], limit: number): Judgement {
  const stored = rounded(value);
  return { claim, value: stored, unit, bound, limit, met: isMet(stored, bound, limit) };
}

/** Five significant digits say all that a measurement can, and keep the files readable. */
export function rounded(value: number): number {
  return Number(value.toPrecision(5));
}
