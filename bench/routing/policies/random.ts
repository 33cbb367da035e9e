import type { PolicyFactory } from '../policy.ts';

export const randomNode: PolicyFactory = {
  name: 'random',
  says: 'any node, each as likely',
  create({ nodes, random }) {
    return { arrive: () => ({ kind: 'node', node: Math.floor(random() * nodes.length) }) };
  },
};
