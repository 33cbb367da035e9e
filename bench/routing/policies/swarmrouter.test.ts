import { describe, expect, test } from 'bun:test';
import { seededRandom } from '../../statistics.ts';
import { FLEETS } from '../fleet/fleet.ts';
import { replay } from '../fleet/replay.ts';
import type { PolicyFactory } from '../policy.ts';
import type { Trace, TraceRequest } from '../trace/trace.ts';
import { SwarmRouterPolicy, swarmRouter } from './swarmrouter.ts';

/** Conversations that go on, with prompts of 200 to 8,000 tokens and answers of 20 to 600. */
function conversations(count: number, everyMs: number, seed: number): Trace {
  const random = seededRandom(seed);
  const requests: TraceRequest[] = Array.from({ length: count }, (_, id) => {
    const inputTokens = Math.round(200 + random() ** 2 * 7_800);
    const conversation = Math.floor(random() * 40);
    const blocks = Array.from({ length: Math.ceil(inputTokens / 512) }, (_, at) => conversation * 1_000 + at);
    return { arrivalMs: id * everyMs, inputTokens, outputTokens: Math.round(20 + random() * 580), blocks };
  });
  return { name: 'test', says: 'made for a test', requests } as Trace;
}

/** The policy, kept for a look at what it has learned. */
function observed(factory: PolicyFactory): { factory: PolicyFactory; policy: () => SwarmRouterPolicy } {
  let made: SwarmRouterPolicy | null = null;
  return {
    factory: {
      ...factory,
      create: (context) => {
        made = factory.create(context) as SwarmRouterPolicy;
        return made;
      },
    },
    policy: () => made as SwarmRouterPolicy,
  };
}

describe('what the router learns of a fleet whose truth is known', () => {
  test.each(FLEETS.map((fleet) => [fleet.name, fleet] as const))(
    '%s: speeds are within 10 % after 200 requests to each node',
    (_name, fleet) => {
      const { factory, policy } = observed(swarmRouter());
      replay(conversations(200 * fleet.nodes.length * 2, 400 / fleet.nodes.length, 7), fleet, factory, 7);
      for (const node of fleet.nodes) {
        const learned = policy().learned(node.name);
        if (learned === null || learned.samples < 30) continue;
        expect([node.name, Math.abs((learned.prefillTokensPerSecond ?? 0) / node.prefillTokensPerSecond - 1) < 0.1]).toEqual([
          node.name,
          true,
        ]);
        expect([node.name, Math.abs((learned.decodeTokensPerSecond ?? 0) / node.decodeTokensPerSecond - 1) < 0.1]).toEqual([
          node.name,
          true,
        ]);
      }
    },
  );
});
