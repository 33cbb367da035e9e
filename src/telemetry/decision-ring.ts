import type { Decision, DecisionLog, DecisionQuery } from '../core/decision.ts';
import type { Outcome, OutcomeSink } from '../core/outcome.ts';
import { decisionOf } from './decision.ts';

/** The latest decisions in memory: each new one beyond the capacity takes the place of the oldest. */
export class DecisionRing implements OutcomeSink, DecisionLog {
  readonly capacity: number;
  readonly #wallMs: () => number;
  readonly #kept: Decision[] = [];
  /** Where the next one goes, once the ring is full. */
  #next = 0;

  constructor(capacity: number, wallMs: () => number) {
    this.capacity = capacity;
    this.#wallMs = wallMs;
  }

  record(outcome: Outcome): void {
    if (this.capacity === 0) return;
    this.#kept[this.#next] = decisionOf(outcome, this.#wallMs());
    this.#next = (this.#next + 1) % this.capacity;
  }

  recent(query: DecisionQuery): readonly Decision[] {
    const found: Decision[] = [];
    for (const decision of this.#newestFirst()) {
      if (found.length >= query.limit) break;
      if (fits(decision, query)) found.push(decision);
    }
    return found;
  }

  find(requestId: string): Decision | null {
    for (const decision of this.#newestFirst()) if (decision.requestId === requestId) return decision;
    return null;
  }

  *#newestFirst(): Generator<Decision> {
    const { length } = this.#kept;
    for (let back = 1; back <= length; back++) {
      const decision = this.#kept[(this.#next - back + length) % length];
      if (decision !== undefined) yield decision;
    }
  }
}

function fits(decision: Decision, { targetId, model, sinceWallMs }: DecisionQuery): boolean {
  if (sinceWallMs !== null && decision.atWallMs < sinceWallMs) return false;
  if (model !== null && decision.modelAsked !== model && decision.modelAnswered !== model) return false;
  if (targetId === null || decision.targetId === targetId) return true;
  return decision.attempts.items.some((attempt) => attempt.targetId === targetId);
}
