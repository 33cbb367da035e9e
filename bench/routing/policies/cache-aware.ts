import type { PolicyFactory } from '../policy.ts';
import { InFlight } from './in-flight.ts';
import { PrefixIndex } from './prefix-index.ts';

/** The defaults of the launcher that people run. */
const CACHE_THRESHOLD = 0.3;
const BALANCE_ABSOLUTE = 64;
const BALANCE_RELATIVE = 1.5;
/** Its tree holds 2^26 characters a worker; a piece here is about 2,150. */
const MOST_BLOCKS = 31_000;

export const cacheAware: PolicyFactory = {
  name: 'cache-aware',
  says: 'SGLang’s rule: a match above 0.3 decides, unless requests in flight differ by more than 64 and by half; else the least loaded node',
  create({ nodes }) {
    const inFlight = new InFlight(nodes);
    const index = new PrefixIndex(nodes.length, MOST_BLOCKS);
    const choose = (blocks: readonly number[]): number => {
      if (isImbalanced(inFlight.counts)) return inFlight.leastLoaded();
      const matches = nodes.map((_, node) => index.matched(node, blocks));
      const longest = Math.max(...matches);
      if (longest / blocks.length <= CACHE_THRESHOLD) return inFlight.leastLoaded();
      return inFlight.leastLoaded((node) => matches[node] === longest);
    };
    return {
      arrive({ blocks }) {
        const node = choose(blocks);
        index.insert(node, blocks);
        return { kind: 'node', node };
      },
      dispatched: (id, to) => inFlight.sent(id, to),
      finished: (id) => inFlight.finished(id),
    };
  },
};

function isImbalanced(counts: readonly number[]): boolean {
  const most = Math.max(...counts);
  const least = Math.min(...counts);
  return most - least > BALANCE_ABSOLUTE && most > BALANCE_RELATIVE * least;
}
