import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type EntrySketch, entryOf } from '../../../test/support/fleet.ts';
import { NO_PROMPT, type PromptFacts } from '../../core/prompt.ts';
import { SpeedBook } from '../learned/speed-book.ts';
import { type PlanOptions, type Progress, planRoute } from '../plan.ts';
import type { PlanRequest } from '../survey.ts';
import type { TargetEntry } from '../target-entry.ts';
import { fastest } from './fastest.ts';
import { localFirst } from './local-first.ts';

const OPTIONS: PlanOptions = {
  strategy: localFirst,
  maxAttempts: 4,
  aliases: new Map(),
  defaultModel: null,
  standIn: 'always',
  maxFirstTokenMs: null,
  spilling: new Set(),
};

interface Speeds {
  readonly prefill: number;
  readonly decode?: number;
}

/** Measured: it reads and writes so many tokens a second. */
function measured(sketch: EntrySketch, { prefill, decode = 50 }: Speeds, book = new SpeedBook()): TargetEntry {
  const entry = entryOf({ models: ['m'], ...sketch }, undefined, book);
  for (const promptTokens of [500, 2_000, 6_000]) {
    const meter = entry.openMeter('m');
    meter.learn({
      promptTokens,
      cachedTokens: 0,
      completionTokens: 201,
      promptBytes: promptTokens * 4,
      hasMedia: false,
      wasCut: false,
      hitLimit: false,
      conversation: 0,
      atMs: 0,
      predictedCachedTokens: 0,
      readingSeconds: 0.05 + promptTokens / prefill,
      writingSeconds: 200 / decode,
      beside: 1,
      loaded: true,
    });
    book.learned(entry.target, 'm', meter);
  }
  return entry;
}

const promptOf = (tokens: number, conversation = 1): PromptFacts => ({
  ...NO_PROMPT,
  bytes: tokens * 4,
  sentBytes: tokens * 4,
  conversation,
});

function planOf(
  entries: readonly TargetEntry[],
  options: Partial<PlanOptions> = {},
  prompt = promptOf(4_000),
  progress?: Progress,
) {
  const fence = { place: null, strictModel: false, route: null, maxFirstTokenMs: null };
  const request: PlanRequest = { operation: 'chat', requestedModel: 'm', fence, prompt };
  const result = planRoute(request, entries, { ...OPTIONS, ...options }, 0, progress);
  if ('noRoute' in result) throw new Error(result.noRoute.message);
  return result.plan;
}

const order = (...args: Parameters<typeof planOf>): string[] =>
  planOf(...args).steps.map(({ target, waits }) => `${target.id}${waits ? ' (waits)' : ''}`);

/** All its slots write answers, which began just now. */
function fill(entry: TargetEntry, slots: number): void {
  entry.inFlight = slots;
  entry.busyByModel.set('m', slots);
  for (let n = 0; n < slots; n++) {
    const call = entry.activity.began(entry.openMeter('m'), 'm', promptOf(1, 100 + n), true, -1);
    entry.activity.answering(call, 0);
  }
}

describe('local first, with speeds that were measured', () => {
  test('takes the node that is expected to be done first', () => {
    const slow = measured({ id: 'slow' }, { prefill: 500 });
    const quick = measured({ id: 'quick' }, { prefill: 5_000 });
    expect(order([slow, quick])).toEqual(['quick', 'slow']);
  });

  test('prefers a node with free slots whose prompts are read over one that reads a long one', () => {
    const [a, b] = [measured({ id: 'a' }, { prefill: 1_000 }), measured({ id: 'b' }, { prefill: 1_000 })];
    a.activity.began(a.openMeter('m'), 'm', promptOf(20_000, 9), true, 0);
    expect(order([a, b])).toEqual(['b', 'a']);
  });

  test('keeps a conversation where its prompt is cached, until the wait there costs more than that saves', () => {
    const nodes = ['a', 'b'].map((id) => measured({ id, slots: 2 }, { prefill: 1_000 })) as [TargetEntry, TargetEntry];
    const turn = promptOf(4_000);
    nodes[1].openMeter('m').cache.add(turn, 0);
    expect(order(nodes)).toEqual(['b', 'a']);
    expect(planOf(nodes).steps[0].estimate?.cachedTokens).toBe(4_000);
    nodes[1].activity.began(nodes[1].openMeter('m'), 'm', promptOf(30_000, 9), true, 0);
    expect(order(nodes)).toEqual(['a', 'b']);
  });

  test('spreads new conversations over nodes that are alike', () => {
    const nodes = ['a', 'b', 'c'].map((id) => measured({ id }, { prefill: 1_000 })) as TargetEntry[];
    nodes[0]?.openMeter('m').cache.add(promptOf(10, 7), 0);
    nodes[2]?.openMeter('m').cache.add(promptOf(10, 8), 0);
    expect(order(nodes, {}, promptOf(4_000, 99))[0]).toBe('b');
  });

  test('gives a node that was never measured what is usual in the fleet, so that it gets its share', () => {
    const book = new SpeedBook();
    const known = measured({ id: 'known' }, { prefill: 1_000 }, book);
    const fresh = entryOf({ id: 'fresh', models: ['m'] }, undefined, book);
    known.openMeter('m').cache.add(promptOf(10, 7), 0);
    expect(order([known, fresh])[0]).toBe('fresh');
    expect(planOf([known, fresh]).steps[0].estimate?.measured).toBe(false);
  });

  test('waits a little for a quick node rather than going to a very slow one, and names the wait', () => {
    const quick = measured({ id: 'quick', slots: 4 }, { prefill: 20_000, decode: 200 });
    const slow = measured({ id: 'slow', slots: 4 }, { prefill: 100 });
    fill(quick, 4);
    const plan = planOf([slow, quick]);
    expect(plan.steps.map(({ target, waits }) => [target.id, waits])).toEqual([
      ['quick', true],
      ['slow', false],
    ]);
    expect(plan.steps[0].waitAtMostMs).toBeGreaterThan(1_000);
    expect(plan.steps[0].reason).toStartWith('waits about');
  });
});

describe('a limit for the first token', () => {
  const cloud = () => measured({ id: 'cloud', kind: 'openrouter' }, { prefill: 50_000 });

  test('sends a prompt to the cloud that no local node can read in time, and others not', () => {
    const node = measured({ id: 'node' }, { prefill: 1_000 });
    expect(order([node, cloud()], { maxFirstTokenMs: 10_000 })).toEqual(['node', 'cloud']);
    const plan = planOf([node, cloud()], { maxFirstTokenMs: 2_000 });
    expect(plan.steps.map(({ target }) => target.id)).toEqual(['cloud', 'node']);
    expect([plan.spills, plan.steps[0].reason]).toEqual([
      true,
      expect.stringContaining('overflow: local first token in about 4'),
    ]);
  });

  test('lets a request wait for a local slot while the prediction keeps it, instead of paying at once', () => {
    const node = measured({ id: 'node', slots: 2 }, { prefill: 4_000, decode: 400 });
    fill(node, 2);
    expect(order([node, cloud()])).toEqual(['cloud', 'node (waits)']);
    expect(order([node, cloud()], { maxFirstTokenMs: 10_000 })).toEqual(['node (waits)', 'cloud']);
    expect(order([node, cloud()], { maxFirstTokenMs: 1_050 })).toEqual(['cloud', 'node (waits)']);
  });

  test('is not crossed back and forth: who went to the cloud comes back only well below it', () => {
    const node = measured({ id: 'node' }, { prefill: 1_000 });
    const limit = { maxFirstTokenMs: 4_300 };
    expect(order([node, cloud()], limit)[0]).toBe('node');
    expect(order([node, cloud()], { ...limit, spilling: new Set(['m']) })[0]).toBe('cloud');
    expect(order([node, cloud()], { ...limit, spilling: new Set(['m']) }, promptOf(3_000))[0]).toBe('node');
  });

  test('is used up by what a request has waited already, and the reason names the limit that was set', () => {
    const node = measured({ id: 'node' }, { prefill: 1_000 });
    const after = (waitedMs: number) =>
      planOf([node, cloud()], { maxFirstTokenMs: 10_000 }, promptOf(4_000), { tried: new Set(), waitedMs }).steps[0];
    expect(after(0).target.id).toBe('node');
    expect([after(7_000).target.id, after(7_000).reason]).toEqual([
      'cloud',
      expect.stringContaining('limit 10 s (3 s now)'),
    ]);
    expect(after(60_000).reason).toContain('limit 10 s (0 s now)');
  });

  test('means nothing where there is no cloud', () => {
    const node = measured({ id: 'node' }, { prefill: 1_000 });
    expect(order([node], { maxFirstTokenMs: 1 })).toEqual(['node']);
  });
});

describe('fastest', () => {
  test('ranks local and cloud targets together', () => {
    const node = measured({ id: 'node' }, { prefill: 500, decode: 20 });
    const cloud = measured({ id: 'cloud', kind: 'openrouter' }, { prefill: 20_000, decode: 80 });
    expect(order([node, cloud], { strategy: fastest })).toEqual(['cloud', 'node']);
    expect(order([node, cloud])).toEqual(['node', 'cloud']);
  });

  test('waits for a slot only as long as that stays quicker than what is free', () => {
    const quick = measured({ id: 'quick', slots: 2 }, { prefill: 20_000, decode: 200 });
    const slow = measured({ id: 'slow' }, { prefill: 200, decode: 20 });
    fill(quick, 2);
    const [first, second] = planOf([slow, quick], { strategy: fastest }).steps;
    expect([first.target.id, first.waits, second?.target.id, second?.waits]).toEqual(['quick', true, 'slow', false]);
    expect(first.waitAtMostMs).toBeGreaterThan(0);
  });
});

describe('any plan', () => {
  const node = fc.record({
    local: fc.boolean(),
    prefill: fc.option(fc.integer({ min: 10, max: 50_000 })),
    slots: fc.integer({ min: 1, max: 8 }),
    busy: fc.integer({ min: 0, max: 8 }),
    context: fc.option(fc.integer({ min: 100, max: 10_000 })),
    vision: fc.option(fc.boolean()),
  });

  test('is the same for the same situation, and has each target as a step or with a reason', () => {
    fc.assert(
      fc.property(
        fc.array(node, { minLength: 1, maxLength: 8 }),
        fc.record({
          tokens: fc.integer({ min: 1, max: 20_000 }),
          vision: fc.boolean(),
          limit: fc.option(fc.nat(20_000)),
        }),
        fc.constantFrom(localFirst, fastest),
        (nodes, { tokens, vision, limit }, strategy) => {
          const entries = nodes.map(({ local, prefill, slots, busy, context, vision: sees }, at) => {
            const model = {
              id: 'm',
              slots,
              contextLength: context,
              capabilities: { vision: sees, tools: null, reasoning: null, jsonSchema: null },
            };
            const sketch = {
              id: `t${at}`,
              kind: local ? ('lm-studio' as const) : ('openrouter' as const),
              models: [model],
            };
            const entry = prefill === null ? entryOf(sketch) : measured(sketch, { prefill });
            if (local) fill(entry, Math.min(busy, slots));
            return entry;
          });
          const prompt = { ...promptOf(tokens), needs: { vision, tools: false, jsonSchema: false } };
          const fence = {
            place: null,
            strictModel: false,
            route: null,
            maxFirstTokenMs: limit === null ? null : limit + 1,
          };
          const request: PlanRequest = { operation: 'chat', requestedModel: 'm', fence, prompt };
          const make = () => planRoute(request, entries, { ...OPTIONS, strategy }, 1_000);
          const result = make();
          expect(JSON.stringify(make())).toBe(JSON.stringify(result));
          const leftOut = 'plan' in result ? result.plan.leftOut : result.noRoute.leftOut;
          const steps = 'plan' in result ? result.plan.steps.map(({ target }) => target.id) : [];
          expect([...steps, ...leftOut.map(({ targetId }) => targetId)].sort()).toEqual(
            entries.map(({ target }) => target.id),
          );
          for (const { reason } of leftOut) expect(reason).not.toBe('');
          for (const { estimate } of 'plan' in result ? result.plan.steps : []) {
            const terms = Object.values(estimate?.terms ?? {});
            expect(terms.every((seconds) => seconds >= 0 && Number.isFinite(seconds))).toBe(true);
          }
        },
      ),
    );
  });
});
