import type { FailureKind } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { AdapterKind } from '../core/target.ts';
import type { Usage } from '../core/usage.ts';
import { DurationHistogram } from './duration-histogram.ts';

interface Results {
  ok: number;
  error: number;
  cancelled: number;
}

/** What was counted of one target. Plain numbers, found by its id once an attempt: a request must not pay for labels. */
export class TargetCounts {
  /** The label of all its series. */
  readonly label: string;
  /** Usually one; several when targets share the label, or one was replaced by another kind. */
  readonly results = new Map<AdapterKind, Results>();
  readonly errors = new Map<FailureKind, number>();
  readonly firstToken = new DurationHistogram();
  readonly queueWait = new DurationHistogram();
  readonly tokens = { prompt: 0, completion: 0, cached: 0, reasoning: 0 };
  usageReports = 0;

  constructor(label: string) {
    this.label = label;
  }

  /** @param failure As the whole request showed it, which may be more than the attempt knew. */
  countAttempt(attempt: AttemptRecord, failure: FailureKind | null): void {
    if (attempt.queuedMs > 0) this.queueWait.observe(attempt.queuedMs / 1000);
    // Nobody would have paid for it: the target was not called, and did nothing wrong.
    if (attempt.notMade === true) return;
    const results = this.#resultsOf(attempt.adapterKind);
    if (failure === null) results.ok++;
    else if (failure === 'cancelled') results.cancelled++;
    else {
      results.error++;
      this.errors.set(failure, (this.errors.get(failure) ?? 0) + 1);
    }
    if (attempt.firstContentMs !== null) this.firstToken.observe(attempt.firstContentMs / 1000);
  }

  countTokens(usage: Usage): void {
    this.usageReports++;
    this.tokens.prompt += usage.promptTokens;
    this.tokens.completion += usage.completionTokens;
    this.tokens.cached += usage.cachedTokens ?? 0;
    this.tokens.reasoning += usage.reasoningTokens;
  }

  #resultsOf(kind: AdapterKind): Results {
    let results = this.results.get(kind);
    if (results === undefined) {
      results = { ok: 0, error: 0, cancelled: 0 };
      this.results.set(kind, results);
    }
    return results;
  }
}

/** Stands for every target beyond the limit. */
const OTHER = 'other';

/** The counts of each target; targets beyond the limit share those of `other`. */
export class TargetCountsTable {
  readonly #limit: number;
  readonly #byTarget = new Map<string, TargetCounts>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  of(targetId: string): TargetCounts {
    return this.#byTarget.get(targetId) ?? this.#firstSeen(targetId);
  }

  all(): readonly TargetCounts[] {
    return [...this.#byTarget.values()];
  }

  #firstSeen(targetId: string): TargetCounts {
    const label = this.#byTarget.size < this.#limit ? targetId : OTHER;
    let counts = this.#byTarget.get(label);
    if (counts === undefined) {
      counts = new TargetCounts(label);
      this.#byTarget.set(label, counts);
    }
    return counts;
  }
}
