import type { RoutePlan } from '../core/plan.ts';

/** Names come from clients: the oldest is forgotten. */
const MOST_MODELS = 1_000;

/** Whose requests go to the cloud now because local targets were too slow. */
export class Spills {
  readonly #models = new Set<string>();

  /** Lower-case names as clients ask for them. */
  get spilling(): ReadonlySet<string> {
    return this.#models;
  }

  /** What was decided for a request of this model. */
  note(model: string, { spills, steps }: RoutePlan): void {
    const key = model.toLowerCase();
    if (!spills) {
      // For the cloud alone it says nothing.
      if (steps[0].target.place === 'local') this.#models.delete(key);
      return;
    }
    this.#models.add(key);
    for (const oldest of this.#models) {
      if (this.#models.size <= MOST_MODELS) break;
      this.#models.delete(oldest);
    }
  }
}
