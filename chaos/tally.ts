import { type Absence, absencesOf, type Evidence, type Verdict, VIOLATIONS, type Violation } from './verdict.ts';

export interface Finding {
  readonly number: number;
  readonly violations: readonly Violation[];
  readonly evidence: Evidence;
  /** Of any server while the request ran. */
  readonly absences: readonly Absence[];
}

const MOST_FINDINGS = 20;
const LONGEST_MS = 60_000;

/** Counts of a run while it goes on; as large after a million requests as after one. */
export class Tally {
  readonly outcomes: Record<Verdict['outcome'], number> = { served: 0, cut: 0, failed: 0, aborted: 0 };
  readonly violations = zeros();
  readonly findings: Finding[] = [];
  attempts = 0;
  failedOver = 0;
  /** From a client's leaving to the close of its upstream call, at most, ms. */
  slowestCancelMs = 0;
  readonly #durations = new Uint32Array(LONGEST_MS + 1);

  get requests(): number {
    return sumOf(this.outcomes);
  }

  get bad(): number {
    return sumOf(this.violations);
  }

  add({ outcome, violations }: Verdict, evidence: Evidence): void {
    const { plan, seen, arrivals } = evidence;
    this.outcomes[outcome]++;
    this.attempts += arrivals.length;
    if (outcome === 'served' && arrivals.length > 1) this.failedOver++;
    if (outcome === 'aborted') this.#noteCancel(evidence);
    const tookMs = Math.min(LONGEST_MS, Math.round(seen.endedAtMs - seen.startedAtMs));
    this.#durations[tookMs] = (this.#durations[tookMs] ?? 0) + 1;
    for (const violation of violations) this.violations[violation]++;
    if (violations.length === 0 || this.findings.length >= MOST_FINDINGS) return;
    const targets = new Set(evidence.absences.map(({ target }) => target));
    const absences = [...targets].flatMap((target) => absencesOf(target, seen, evidence.absences));
    this.findings.push({ number: plan.number, violations, evidence, absences });
  }

  /** The time that this share of the requests took at most, ms; 1: the slowest. */
  durationMs(share: number): number {
    let left = this.requests * share;
    for (const [ms, count] of this.#durations.entries()) {
      left -= count;
      if (left <= 0 && count > 0) return ms;
    }
    return 0;
  }

  #noteCancel({ seen, arrivals }: Evidence): void {
    for (const { atMs, call } of arrivals) {
      if (!call.aborted || call.endedAtMs === null) continue;
      this.slowestCancelMs = Math.max(this.slowestCancelMs, call.endedAtMs - Math.max(atMs, seen.endedAtMs));
    }
  }
}

function zeros(): Record<Violation, number> {
  return Object.fromEntries(Object.keys(VIOLATIONS).map((name) => [name, 0])) as Record<Violation, number>;
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
