import type { PolicyFactory } from '../policy.ts';

export const roundRobin: PolicyFactory = {
  name: 'round-robin',
  says: 'the nodes in turn, whatever they do',
  create({ nodes }) {
    let turn = 0;
    return { arrive: () => ({ kind: 'node', node: turn++ % nodes.length }) };
  },
};
