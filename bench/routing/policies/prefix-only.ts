import type { PolicyFactory } from '../policy.ts';
import { InFlight } from './in-flight.ts';
import { PrefixIndex } from './prefix-index.ts';

/** About what llm-d's scorer remembers of a server. */
const MOST_BLOCKS = 31_250;

export const prefixOnly: PolicyFactory = {
  name: 'prefix-only',
  says: 'the node that was sent the longest beginning of the prompt before; the least loaded one of equals',
  create({ nodes }) {
    const inFlight = new InFlight(nodes);
    const index = new PrefixIndex(nodes.length, MOST_BLOCKS);
    return {
      arrive({ blocks }) {
        const matches = nodes.map((_, node) => index.matched(node, blocks));
        const longest = Math.max(...matches);
        const node = inFlight.leastLoaded((candidate) => matches[candidate] === longest);
        index.insert(node, blocks);
        return { kind: 'node', node };
      },
      dispatched: (id, to) => inFlight.sent(id, to),
      finished: (id) => inFlight.finished(id),
    };
  },
};
