import { describe, expect, test } from 'bun:test';
import { NO_PROMPT, type PromptFacts } from '../../core/prompt.ts';
import type { Usage } from '../../core/usage.ts';
import { Activity, type LiveCall } from './activity.ts';
import { ModelMeter } from './model-meter.ts';

/** A server that reads 1,000 tokens a second, one prompt after the other, and begins to answer then. */
const promptOf = (tokens: number, conversation = tokens): PromptFacts => ({
  ...NO_PROMPT,
  bytes: tokens * 4,
  sentBytes: tokens * 4,
  conversation,
});
const usageOf = (promptTokens: number, completionTokens = 11, cachedTokens: number | null = 0): Usage => ({
  promptTokens,
  completionTokens,
  cachedTokens,
  reasoningTokens: 0,
  costNanoUsd: null,
});

describe('what calls that overlap teach', () => {
  test('is the speed of reading, though prompts wait for each other', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    let doneAtMs = 0;
    // All come at once, so the last one waits for all the others.
    const calls = [500, 2_000, 1_000, 4_000, 3_000].map((tokens) => ({
      tokens,
      call: activity.began(meter, 'm', promptOf(tokens), true, 0),
    }));
    for (const { tokens, call } of calls) {
      doneAtMs += tokens;
      activity.answering(call, doneAtMs);
    }
    for (const { tokens, call } of calls) activity.finished(call, usageOf(tokens), doneAtMs + 1_000);
    expect(1 / meter.reading.slope).toBeCloseTo(1_000, 0);
  });

  test('is nothing of reading when a later prompt was done first', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    const [first, second] = [5_000, 100].map((tokens) => activity.began(meter, 'm', promptOf(tokens), true, 0)) as [
      LiveCall,
      LiveCall,
    ];
    activity.answering(second, 100);
    activity.finished(second, usageOf(100), 400);
    expect([meter.reading.count, meter.writing.count]).toEqual([0, 1]);
    activity.answering(first, 5_100);
    expect(first.readingMs).toBe(5_000);
  });

  test('is the speed of writing by how many were written meanwhile', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    const calls = [1, 2].map((n) => activity.began(meter, 'm', promptOf(100, n), true, 0)) as [LiveCall, LiveCall];
    for (const call of calls) activity.answering(call, 100);
    for (const call of calls) activity.finished(call, usageOf(100, 101), 4_100);
    expect(meter.writing.entries().map(([beside]) => beside)).toEqual([2]);
    expect(meter.writing.secondsPerToken(2)).toBeCloseTo(0.04, 5);
  });

  test('is nothing from a call that was given up, and the next prompt is read from then on', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    const given = activity.began(meter, 'm', promptOf(9_000, 1), true, 0);
    const next = activity.began(meter, 'm', promptOf(1_000, 2), true, 0);
    activity.ended(given, 3_000);
    activity.answering(next, 4_000);
    expect(next.readingMs).toBe(1_000);
    expect(meter.samples).toBe(0);
  });

  test('is how long a load takes, and who loads is known meanwhile', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    for (const tokens of [100, 200, 400]) {
      const call = activity.began(meter, 'm', promptOf(tokens), true, tokens * 10);
      activity.answering(call, tokens * 11);
      activity.finished(call, usageOf(tokens), tokens * 11 + 100);
    }
    const loader = activity.began(meter, 'm', promptOf(1_000), false, 10_000);
    expect([activity.isLoading('m'), activity.isLoadingOther('x'), activity.loadingSeconds('m', 12_000)]).toEqual([
      true,
      true,
      2,
    ]);
    activity.answering(loader, 20_000);
    activity.finished(loader, usageOf(1_000), 21_000);
    expect(activity.isLoading('m')).toBe(false);
    expect(meter.loadSeconds).toBeCloseTo(9, 1);
  });
});

test('a provider reads prompts side by side: none waits for another, and each says how long it took', () => {
  const activity = new Activity(false);
  const meter = new ModelMeter();
  const calls = [3_000, 1_000, 2_000].map((tokens) => ({
    tokens,
    call: activity.began(meter, 'm', promptOf(tokens), true, 0),
  }));
  expect(activity.readingSeconds(1, 100)).toBe(0);
  for (const { tokens, call } of calls.toSorted((a, b) => a.tokens - b.tokens)) {
    activity.answering(call, tokens);
    activity.finished(call, usageOf(tokens), tokens + 500);
  }
  expect(1 / meter.reading.slope).toBeCloseTo(1_000, 0);
});

describe('what a newcomer waits for', () => {
  test('are the prompts before it, less what has been read of the first', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    activity.began(meter, 'm', promptOf(4_000, 1), true, 0);
    activity.began(meter, 'm', promptOf(1_000, 2), true, 500);
    expect(activity.readingSeconds(1 / 1_000, 1_000)).toBeCloseTo(4, 5);
    // It takes longer than expected: nothing is known of how much.
    expect(activity.readingSeconds(1 / 1_000, 9_000)).toBeCloseTo(1, 5);
  });

  test('is nothing of what is cached', () => {
    const activity = new Activity();
    const meter = new ModelMeter();
    meter.cache.add({ ...promptOf(3_000, 7) }, 0);
    activity.began(meter, 'm', promptOf(4_000, 7), true, 0);
    expect(activity.readingSeconds(1 / 1_000, 0)).toBeCloseTo(1, 5);
  });
});

describe('slots of a server that does not say', () => {
  /** Sends three at once to a server that writes `slots` answers at a time, each for some seconds. */
  function busyServer(slots: number): Activity {
    const activity = new Activity();
    const meter = new ModelMeter();
    for (let round = 0; round < 4; round++) {
      const startMs = round * 100_000;
      const calls = [1, 2, 3].map((n) => activity.began(meter, 'm', promptOf(10, n), true, startMs));
      const freeAtMs = Array.from({ length: slots }, () => startMs);
      const events = calls.map((call, index) => {
        const slot = freeAtMs.indexOf(Math.min(...freeAtMs));
        const beginsMs = (freeAtMs[slot] as number) + 10;
        const endsMs = beginsMs + 2_000 + index * 300;
        freeAtMs[slot] = endsMs;
        return { call, beginsMs, endsMs };
      });
      const steps = events.flatMap(({ call, beginsMs, endsMs }) => [
        { atMs: beginsMs, order: 1, run: () => activity.answering(call, beginsMs) },
        { atMs: endsMs, order: 0, run: () => activity.finished(call, usageOf(10, 50), endsMs) },
      ]);
      for (const step of steps.sort((a, b) => a.atMs - b.atMs || a.order - b.order)) step.run();
    }
    return activity;
  }

  test('are learned when answers wait for each other', () => {
    expect(busyServer(1).slots.learned).toBe(1);
    expect(busyServer(2).slots.learned).toBe(2);
  });

  test('are not bounded by anything when none ever waited', () => {
    expect([busyServer(3).slots.learned, busyServer(3).slots.seenAtOnce]).toEqual([null, 3]);
  });
});

test('a call that has ended teaches nothing more, however often it is ended', () => {
  const activity = new Activity();
  const meter = new ModelMeter();
  const call = activity.began(meter, 'm', promptOf(1_000), true, 0);
  activity.answering(call, 1_000);
  activity.finished(call, usageOf(1_000, 101), 3_000);
  const learned = meter.save();
  activity.finished(call, usageOf(1_000, 101), 60_000);
  expect(meter.save()).toEqual(learned);
  expect(activity.writing).toBe(0);
});
