import { describe, expect, test } from 'bun:test';
import { seededRandom } from '../../statistics.ts';
import { BASELINES, OWN, OWN_FAMILIES, PERFECT } from '../policies/index.ts';
import type { ArrivingRequest, PolicyContext, PolicyFactory } from '../policy.ts';
import type { Trace, TraceRequest } from '../trace/trace.ts';
import { CLOUD, type Fleet, type NodeSpec, withCloud } from './fleet.ts';
import { PolicyError, replay } from './replay.ts';

const node: NodeSpec = {
  name: 'n',
  slots: 2,
  prefillTokensPerSecond: 1_000,
  decodeTokensPerSecond: 10,
  networkMs: 5,
  reportsCachedTokens: false,
};
const fleet: Fleet = {
  name: 'two',
  says: '',
  nodes: [node, { ...node, name: 'm', prefillTokensPerSecond: 500 }],
  clouds: [],
};

function traceOf(requests: readonly Partial<TraceRequest>[]): Trace {
  const filled = requests.map((one, at) => ({
    arrivalMs: 0,
    inputTokens: 100,
    outputTokens: 11,
    blocks: [at],
    ...one,
  }));
  return { name: 't', says: '', generated: true, requests: filled };
}

function crowd(count: number): Trace {
  const random = seededRandom(7);
  let arrivalMs = 0;
  return traceOf(
    Array.from({ length: count }, (_, at) => {
      arrivalMs += random() < 0.5 ? 0 : random() * 900;
      const inputTokens = 1 + Math.floor(random() * 1_500);
      const blocks = [
        0,
        ...Array.from({ length: Math.ceil(inputTokens / 512) - 1 }, (_, block) => at * 10 + block + 1),
      ];
      return { arrivalMs, inputTokens, outputTokens: Math.floor(random() * 60), blocks };
    }),
  );
}

/** Decides by a function, and keeps what it was told. */
function told(decide: (request: ArrivingRequest, context: PolicyContext) => number | 'hold' | 'cloud') {
  const events: string[] = [];
  const factory: PolicyFactory = {
    name: 'told',
    says: '',
    create: (context) => ({
      arrive(request) {
        const to = decide(request, context);
        if (to === 'hold') return { kind: 'hold' };
        return to === 'cloud' ? { kind: 'cloud', cloud: 0 } : { kind: 'node', node: to };
      },
      dispatched: (id, _, nowMs) => events.push(`sent ${id} at ${nowMs}`),
      firstToken: (id, nowMs) => events.push(`first ${id} at ${nowMs}`),
      finished: (id, nowMs, usage) => events.push(`end ${id} at ${nowMs}, ${JSON.stringify(usage)}`),
      slotFreed: (at, nowMs) => events.push(`slot of ${at} at ${nowMs}`),
      woken(nowMs) {
        events.push(`woken at ${nowMs}`);
        context.dispatch(0, { kind: 'node', node: 0 });
      },
    }),
  };
  return { factory, events };
}

describe('a replay', () => {
  test('tells the policy of each event when the router would see it', () => {
    const { factory, events } = told(() => 0);
    replay(traceOf([{ arrivalMs: 1_000 }]), fleet, factory, 1);
    expect(events).toEqual([
      'sent 0 at 1000',
      'first 0 at 1110',
      'end 0 at 2110, {"promptTokens":100,"cachedTokens":null,"completionTokens":11}',
      'slot of 0 at 2110',
    ]);
  });

  test('lets a held request wait for the timer that the policy asked for', () => {
    const { factory, events } = told((_, context) => {
      context.wakeAt(4_000);
      return 'hold';
    });
    const [served] = replay(traceOf([{}]), fleet, factory, 1);
    expect(events.slice(0, 2)).toEqual(['woken at 4000', 'sent 0 at 4000']);
    expect(served).toMatchObject({ arrivalMs: 0, sentMs: 4_000, firstTokenMs: 4_110 });
  });

  test('has the cloud answer after a fixed time, for money', () => {
    const { factory } = told(() => 'cloud');
    const trace = traceOf([{ inputTokens: 1_000_000, outputTokens: 0 }]);
    const [served] = replay(trace, withCloud(fleet), factory, 1);
    expect(served).toMatchObject({ node: null, firstTokenMs: CLOUD.firstTokenMs, dollars: CLOUD.dollarsPerMillionIn });
  });

  test('refuses a policy that forgets a request, sends one twice, or peeks', () => {
    const refused = (decide: Parameters<typeof told>[0]) => () => replay(traceOf([{}]), fleet, told(decide).factory, 1);
    expect(refused(() => 'hold')).toThrow('told never sent request 0');
    expect(refused(() => 7)).toThrow('told chose node 7, which does not exist');
    expect(refused((_, context) => context.oracle.preview(0, 0).slot)).toThrow(PolicyError);
    const twice = (_: ArrivingRequest, context: PolicyContext): number => {
      context.wakeAt(1);
      return 0;
    };
    expect(refused(twice)).toThrow('told sent request 0 twice');
  });

  test('shows neither tokens nor the length of the answer', () => {
    const seen: ArrivingRequest[] = [];
    const { factory } = told((request) => {
      seen.push(request);
      return 0;
    });
    replay(crowd(200), fleet, factory, 1);
    expect(Object.keys(seen[0] ?? {}).sort()).toEqual([
      'blocks',
      'conversationKey',
      'id',
      'maxOutputTokens',
      'promptBytes',
    ]);
    expect(
      new Set(seen.map((one, at) => one.promptBytes / (crowd(200).requests[at]?.inputTokens ?? 1))).size,
    ).toBeGreaterThan(150);
  });
});

const all = [
  ...BASELINES,
  ...PERFECT,
  ...OWN,
  ...OWN_FAMILIES.flatMap((family) => family.members.map((one) => one.factory)),
];

describe.each(all.map((factory, at) => [`${factory.name} (${at})`, factory] as const))('%s', (_, factory) => {
  const trace = crowd(300);
  const served = replay(trace, withCloud(fleet), factory, 1);

  test('serves every request once, not before it came, and never computes two prompts at once', () => {
    expect(served.length).toBe(trace.requests.length);
    for (const { arrivalMs, sentMs, firstTokenMs, finishedMs } of served) {
      expect(sentMs).toBeGreaterThanOrEqual(arrivalMs);
      expect(finishedMs).toBeGreaterThanOrEqual(firstTokenMs);
    }
    fleet.nodes.forEach((spec, at) => {
      const here = served.filter((one) => one.node === at).sort((a, b) => a.firstTokenMs - b.firstTokenMs);
      let previousMs = 0;
      for (const one of here) {
        const ownMs = ((one.inputTokens - one.cachedTokens) / spec.prefillTokensPerSecond) * 1000;
        expect(one.firstTokenMs - Math.max(previousMs, one.sentMs)).toBeGreaterThan(ownMs - 0.001);
        previousMs = one.firstTokenMs;
      }
    });
  });

  test('never fills more slots than there are', () => {
    fleet.nodes.forEach((spec, at) => {
      const here = served.filter((one) => one.node === at);
      for (const { firstTokenMs } of here) {
        const writing = here.filter((one) => one.firstTokenMs <= firstTokenMs && one.finishedMs > firstTokenMs);
        expect(writing.length).toBeLessThanOrEqual(spec.slots);
      }
    });
  });

  test('does the same again', () => {
    expect(replay(trace, withCloud(fleet), factory, 1)).toEqual(served);
  });
});

describe('work conservation', () => {
  test('a node with a request and a free slot is never idle', () => {
    const single: Fleet = { ...fleet, nodes: [{ ...node, slots: 1_000, networkMs: 0 }] };
    const { factory } = told(() => 0);
    const trace = crowd(300);
    const served = replay(trace, single, factory, 1);
    let freeMs = 0;
    for (const { arrivalMs, firstTokenMs, inputTokens, cachedTokens } of served) {
      // As a queue with one server: it begins when the request is there and the one before is done.
      freeMs = Math.max(freeMs, arrivalMs) + inputTokens - cachedTokens;
      expect(firstTokenMs).toBeCloseTo(freeMs, 3);
    }
  });
});
