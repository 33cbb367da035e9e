import type { PolicyFactory } from '../policy.ts';
import { cacheAware } from './cache-aware.ts';
import { leastConnections } from './least-connections.ts';
import { overflowWhenFull } from './overflow-when-full.ts';
import { perfectGreedy } from './perfect-greedy.ts';
import { perfectLate } from './perfect-late.ts';
import { prefixOnly } from './prefix-only.ts';
import { randomNode } from './random.ts';
import { roundRobin } from './round-robin.ts';
import { swarmRouter } from './swarmrouter.ts';

/** One policy with a knob that trades money for time. */
export interface PolicyFamily {
  readonly name: string;
  /** What the knob is, in a few words. */
  readonly knob: string;
  readonly members: readonly { readonly setting: string; readonly factory: PolicyFactory }[];
}

/** What the others are measured by. */
export const YARDSTICK = leastConnections;

export const BASELINES: readonly PolicyFactory[] = [roundRobin, randomNode, leastConnections, cacheAware, prefixOnly];

/** Whichever of them has the least mean in a run stands for perfect information there. */
export const PERFECT: readonly PolicyFactory[] = [perfectGreedy(), perfectLate(0)];

/** Shown beside them, though no yardstick: it lets short prompts overtake long ones, which is no longer only routing. */
export const REORDERING: readonly PolicyFactory[] = [perfectLate(2)];

/** The last one is the one that the targets are for. */
export const OWN: readonly PolicyFactory[] = [swarmRouter()];

/** Infinity: nothing is sent out. */
const LIMITS_S = [
  0.6,
  0.7,
  0.8,
  0.85,
  0.9,
  1,
  1.1,
  1.25,
  1.5,
  1.75,
  2,
  2.5,
  3,
  4,
  5,
  6.5,
  8,
  10,
  12,
  16,
  20,
  30,
  Number.POSITIVE_INFINITY,
];

export const YARDSTICK_FAMILY: PolicyFamily = {
  name: 'overflow-when-full',
  knob: 'requests in flight for each slot at which a node counts as full',
  members: [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3, 4].map((fullAt) => ({
    setting: String(fullAt),
    factory: overflowWhenFull(fullAt),
  })),
};

export const PERFECT_FAMILY: PolicyFamily = {
  name: 'perfect-greedy, limit',
  knob: 'longest first-token time that is accepted',
  members: LIMITS_S.map((seconds) => ({
    setting: seconds === Number.POSITIVE_INFINITY ? 'none' : `${seconds} s`,
    factory: perfectGreedy(seconds * 1000),
  })),
};

/** And for their frontiers. */
export const OWN_FAMILIES: readonly PolicyFamily[] = [
  {
    name: 'swarmrouter, limit',
    knob: 'SWARMROUTER_MAX_FIRST_TOKEN_MS',
    members: LIMITS_S.map((seconds) => ({
      setting: seconds === Number.POSITIVE_INFINITY ? 'an hour' : `${seconds} s`,
      factory: swarmRouter(Math.min(seconds * 1000, 3_600_000)),
    })),
  },
];
