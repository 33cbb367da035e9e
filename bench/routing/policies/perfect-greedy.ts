import type { PolicyFactory } from '../policy.ts';

/** `limitMs`: a request that would wait longer for its first token goes to the cloud. */
export function perfectGreedy(limitMs = Number.POSITIVE_INFINITY): PolicyFactory {
  return {
    name: 'perfect-greedy',
    says: 'perfect information, bound on arrival: the node whose first token will come first',
    needsOracle: true,
    create({ nodes, clouds, oracle }) {
      return {
        arrive({ id }, nowMs) {
          let best = 0;
          let bestMs = Number.POSITIVE_INFINITY;
          nodes.forEach((_, node) => {
            const { firstTokenMs } = oracle.preview(id, node);
            if (firstTokenMs >= bestMs) return;
            bestMs = firstTokenMs;
            best = node;
          });
          const goesOut = clouds.length > 0 && bestMs - nowMs > limitMs;
          return goesOut ? { kind: 'cloud', cloud: 0 } : { kind: 'node', node: best };
        },
      };
    },
  };
}
