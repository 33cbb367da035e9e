import { sortByCost } from './by-cost.ts';
import type { RankedCandidate, Strategy } from './strategy.ts';

/**
 * Local and cloud targets by what they are expected to take in seconds, waits included. A request waits for a slot only
 * as long as that stays quicker than the next target.
 */
export const fastest: Strategy = {
  name: 'fastest',
  rank(candidates) {
    const ranked = sortByCost(candidates.filter(({ lastResort }) => !lastResort));
    const rest = sortByCost(candidates.filter(({ lastResort }) => lastResort));
    const all = [...ranked, ...rest];
    return all.map((candidate, at): RankedCandidate => {
      const { cost, busy, slots, entry } = candidate;
      const waits = busy >= slots;
      const next = all.slice(at + 1).find((other) => other.busy < other.slots);
      const slack = next === undefined ? null : next.cost.seconds - (cost.seconds - cost.terms.wait);
      return {
        candidate,
        waits,
        waitAtMostSeconds: waits && slack !== null ? Math.max(0, slack) : null,
        why: `${entry.target.place}, about ${Math.round(cost.seconds * 10) / 10} s${waits ? ' with a wait for a slot' : ''}`,
      };
    });
  },
};
