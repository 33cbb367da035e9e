import type { FailureKind } from '../core/failure.ts';
import type { TargetStats } from '../core/target-view.ts';

const WINDOW = 256;

/** Running counts of one target since start, and the latencies of its last 256 served calls. */
export class TargetStatsCounter {
  #requests = 0;
  #errors = 0;
  #latenciesMs = new Float64Array(WINDOW);
  #latencyCount = 0;
  #lastError: TargetStats['lastError'] = null;

  started(): void {
    this.#requests++;
  }

  /** The call that was started was not made after all. */
  notMade(): void {
    this.#requests--;
  }

  served(latencyMs: number): void {
    this.#latenciesMs[this.#latencyCount++ % WINDOW] = latencyMs;
  }

  failed(kind: FailureKind, message: string, atWallMs: number): void {
    this.#errors++;
    this.#lastError = { kind, message, atWallMs };
  }

  read(): TargetStats {
    const sorted = this.#latenciesMs.slice(0, Math.min(this.#latencyCount, WINDOW)).sort();
    return {
      requests: this.#requests,
      errors: this.#errors,
      errorRate: this.#requests === 0 ? 0 : this.#errors / this.#requests,
      latencyP50Ms: percentile(sorted, 0.5),
      latencyP95Ms: percentile(sorted, 0.95),
      lastError: this.#lastError,
    };
  }
}

/** Nearest-rank percentile of ascending values; null for none. */
export function percentile(sorted: ArrayLike<number>, share: number): number | null {
  if (sorted.length === 0) return null;
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}
