import type { PolicyContext, PolicyFactory } from '../policy.ts';
import { type Estimator, LateBindingQueue } from './late-binding.ts';

export function perfectLate(patience: number): PolicyFactory {
  return {
    name: patience === 0 ? 'perfect-late' : 'perfect-late-short-first',
    says: `perfect information, held at the router until a node can begin; ${patience === 0 ? 'first come first served' : 'short prompts before long ones'}`,
    needsOracle: true,
    create(context) {
      const { oracle } = context;
      let usualMsPerToken: number | undefined;
      const estimator: Estimator = {
        outlook: (node) => oracle.outlook(node),
        prefillMs: ({ id }, node) => {
          const { prefillMs, firstTokenMs } = oracle.preview(id, node);
          return firstTokenMs - prefillMs;
        },
        evenPrefillMs: ({ id }, node) => {
          usualMsPerToken ??= meanMsPerToken(context, id);
          return oracle.preview(id, node).uncachedTokens * usualMsPerToken;
        },
        decodeMs: ({ id }, node) => {
          const { firstTokenMs, finishedMs } = oracle.preview(id, node);
          return finishedMs - firstTokenMs;
        },
      };
      const queue = new LateBindingQueue(context, estimator, patience);
      return {
        arrive(request, nowMs) {
          queue.add(request, nowMs);
          // It may be sent only once it has arrived.
          context.wakeAt(nowMs);
          return { kind: 'hold' };
        },
        firstToken: (_, nowMs) => queue.serve(nowMs),
        slotFreed: (_, nowMs) => queue.serve(nowMs),
        woken: (nowMs) => queue.serve(nowMs),
      };
    },
  };
}

function meanMsPerToken({ nodes, oracle }: PolicyContext, id: number): number {
  const speeds = nodes.map((_, node) => {
    const { prefillMs, firstTokenMs, uncachedTokens } = oracle.preview(id, node);
    return (firstTokenMs - prefillMs) / uncachedTokens;
  });
  return speeds.reduce((sum, ms) => sum + ms, 0) / speeds.length;
}
