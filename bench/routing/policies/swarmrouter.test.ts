import { describe, expect, test } from 'bun:test';
import { seededRandom } from '../../statistics.ts';
import type { Fleet } from '../fleet/fleet.ts';
import { replay } from '../fleet/replay.ts';
import type { PolicyFactory } from '../policy.ts';
import { blockCount, type Trace, type TraceRequest } from '../trace/trace.ts';
import { type SwarmRouterPolicy, swarmRouter } from './swarmrouter.ts';

const DESKTOP = { slots: 4, networkMs: 2, reportsCachedTokens: false } as const;

/** Conversations that go on, with prompts of 200 to 8,000 tokens and answers of 20 to 600. */
function conversations(count: number, everyMs: number, seed: number): Trace {
  const random = seededRandom(seed);
  const requests: TraceRequest[] = Array.from({ length: count }, (_, id) => {
    const inputTokens = Math.round(200 + random() ** 2 * 7_800);
    const conversation = Math.floor(random() * 40);
    const blocks = Array.from({ length: blockCount(inputTokens) }, (_block, at) => conversation * 1_000 + at);
    return { arrivalMs: id * everyMs, inputTokens, outputTokens: Math.round(20 + random() * 580), blocks };
  });
  return { name: 'test', says: 'made for a test', generated: true, requests };
}

/** Three servers of different speeds: one says what it had cached, one loads its model first. */
const THREE: Fleet = {
  name: 'three',
  says: 'three servers of different speeds',
  nodes: [
    { ...DESKTOP, name: 'quick', prefillTokensPerSecond: 6_000, decodeTokensPerSecond: 80, reportsCachedTokens: true },
    { ...DESKTOP, name: 'middling', prefillTokensPerSecond: 2_500, decodeTokensPerSecond: 45, loadMs: 9_000 },
    { ...DESKTOP, name: 'slow', prefillTokensPerSecond: 900, decodeTokensPerSecond: 30 },
  ],
  clouds: [],
};

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
  test.each([1, 2, 3, 4, 5])('is within 10 %% of it after 200 requests (seed %d)', (seed) => {
    const { factory, policy } = observed(swarmRouter());
    replay(conversations(200, 700, seed), THREE, factory, seed);
    for (const { name, prefillTokensPerSecond, decodeTokensPerSecond } of THREE.nodes) {
      const learned = policy().learned(name);
      expect([name, learned !== null && learned.samples >= 10]).toEqual([name, true]);
      const prefill = (learned?.prefillTokensPerSecond ?? 0) / prefillTokensPerSecond;
      const decode = (learned?.decodeTokensPerSecond ?? 0) / decodeTokensPerSecond;
      expect([name, 'prefill', Math.abs(prefill - 1) < 0.1 || prefill]).toEqual([name, 'prefill', true]);
      expect([name, 'decode', Math.abs(decode - 1) < 0.1 || decode]).toEqual([name, 'decode', true]);
    }
  });
});
