import { percentile } from '../statistics.ts';
import type { ServedRequest } from './fleet/replay.ts';
import type { FrontierFamily, RunFigures, TraceSummary } from './result.ts';
import { infiniteCacheHitShare, type Trace } from './trace/trace.ts';

const QUANTILES = [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 85, 90, 93, 95, 97, 98, 99, 99.5] as const;

export function figuresOf(policy: string, served: readonly ServedRequest[], withQuantiles: boolean): RunFigures {
  const times = Float64Array.from(served, ({ firstTokenMs, arrivalMs }) => firstTokenMs - arrivalMs).sort();
  const figures: RunFigures = {
    policy,
    meanMs: sumOf(times, (ms) => ms) / times.length,
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    p99Ms: percentile(times, 0.99),
    hitShare: sumOf(served, (request) => request.cachedTokens) / sumOf(served, (request) => request.inputTokens),
    overflowShare: sumOf(served, ({ node }) => (node === null ? 1 : 0)) / served.length,
    dollars: sumOf(served, (request) => request.dollars),
  };
  if (!withQuantiles) return figures;
  const quantilesMs = Object.fromEntries(QUANTILES.map((at) => [`p${at}`, percentile(times, at / 100)]));
  return { ...figures, quantilesMs };
}

export function summaryOf(trace: Trace): TraceSummary {
  const { requests } = trace;
  return {
    name: trace.name,
    says: trace.says,
    generated: trace.generated,
    requests: requests.length,
    minutes: (requests.at(-1)?.arrivalMs ?? 0) / 60_000,
    meanInputTokens: sumOf(requests, (request) => request.inputTokens) / requests.length,
    meanOutputTokens: sumOf(requests, (request) => request.outputTokens) / requests.length,
    infiniteCacheHitShare: infiniteCacheHitShare(trace),
  };
}

type Measure = (run: RunFigures) => number;

/**
 * The most that ours take, in shares of theirs, over all of their settings: for each, the best of our settings that
 * costs no more. Below 1: whatever is spent, ours is faster.
 */
export function worstRatioAtEqualSpend(
  ours: readonly FrontierFamily[],
  theirs: FrontierFamily,
  measure: Measure,
): number {
  const points = ours.flatMap((family) => family.points);
  const ratios = theirs.points.map((point) => {
    const affordable = points.filter(({ dollars }) => dollars <= point.dollars);
    return Math.min(...affordable.map(measure)) / measure(point);
  });
  return Math.max(...ratios);
}

function sumOf<T>(items: Iterable<T>, value: (item: T) => number): number {
  let sum = 0;
  for (const item of items) sum += value(item);
  return sum;
}
