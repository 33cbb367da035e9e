import { DURATION_BUCKETS } from './metric-list.ts';

/** Counts of durations by `DURATION_BUCKETS`; each bucket holds its own share, the exposition adds them up. */
export class DurationHistogram {
  /** One more than the bounds: the last is for what exceeds them all. */
  readonly counts = new Float64Array(DURATION_BUCKETS.length + 1);
  sumSeconds = 0;

  /** A duration that equals a bound belongs to that bucket, as Prometheus has it. */
  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < DURATION_BUCKETS.length && seconds > (DURATION_BUCKETS[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sumSeconds += seconds;
  }

  get count(): number {
    return this.counts.reduce((sum, each) => sum + each, 0);
  }
}
