import type { PolicyFactory } from '../policy.ts';
import { InFlight } from './in-flight.ts';

export const leastConnections: PolicyFactory = {
  name: 'least-connections',
  says: 'the node with the fewest requests in flight for its slots, equals in turn; sent on at once, also to full nodes',
  create({ nodes }) {
    const inFlight = new InFlight(nodes);
    return {
      arrive: () => ({ kind: 'node', node: inFlight.leastLoaded() }),
      dispatched: (id, to) => inFlight.sent(id, to),
      finished: (id) => inFlight.finished(id),
    };
  },
};
