import type { PolicyFactory } from '../policy.ts';
import { InFlight } from './in-flight.ts';

/** `fullAt`: requests in flight for each slot at which a node counts as full; above 1 its own queue is used. */
export function overflowWhenFull(fullAt = 1): PolicyFactory {
  return {
    name: 'overflow-when-full',
    says: 'least connections while any node has a free slot, else the cloud',
    create({ nodes, clouds }) {
      const inFlight = new InFlight(nodes);
      return {
        arrive() {
          const open = (node: number): boolean => inFlight.at(node) < (nodes[node]?.slots ?? 1) * fullAt;
          const node = inFlight.leastLoaded(clouds.length === 0 ? undefined : open);
          return node === -1 ? { kind: 'cloud', cloud: 0 } : { kind: 'node', node };
        },
        dispatched: (id, to) => inFlight.sent(id, to),
        finished: (id) => inFlight.finished(id),
      };
    },
  };
}
