import { describe, expect, test } from 'bun:test';
import type { TraceRequest } from '../trace/trace.ts';
import type { NodeSpec } from './fleet.ts';
import { commonTokens, SimulatedNode } from './node.ts';

const spec: NodeSpec = {
  name: 'n',
  slots: 2,
  prefillTokensPerSecond: 1_000,
  decodeTokensPerSecond: 10,
  networkMs: 0,
  reportsCachedTokens: true,
};

function request(change: Partial<TraceRequest>): TraceRequest {
  return { arrivalMs: 0, inputTokens: 1_000, outputTokens: 11, blocks: [1, 2], ...change };
}

let nextBlock = 100;
/** Shares nothing with any other. */
function stranger(change: Partial<TraceRequest> = {}): TraceRequest {
  return request({ blocks: [nextBlock++, nextBlock++], ...change });
}

describe('a simulated node', () => {
  test('computes the prompt, then writes the answer but for its first token', () => {
    const schedule = new SimulatedNode(spec).take(stranger(), 5_000);
    expect(schedule).toMatchObject({ slotMs: 5_000, prefillMs: 5_000, firstTokenMs: 6_000, finishedMs: 7_000 });
  });

  test('computes one prompt at a time, and writes answers side by side', () => {
    const node = new SimulatedNode(spec);
    node.take(stranger(), 0);
    expect(node.take(stranger(), 0)).toMatchObject({
      slotMs: 0,
      prefillMs: 1_000,
      firstTokenMs: 2_000,
      finishedMs: 3_000,
    });
  });

  test('lets a request without a slot wait until the first one is free', () => {
    const node = new SimulatedNode(spec);
    node.take(stranger(), 0);
    node.take(stranger(), 0);
    // The first leaves at 2,000, the second has its prompt computed by then.
    expect(node.take(stranger(), 100)).toMatchObject({ slotMs: 2_000, prefillMs: 2_000, firstTokenMs: 3_000 });
    expect(node.take(stranger(), 100)).toMatchObject({ slotMs: 3_000, prefillMs: 3_000 });
  });

  test('does not compute again what the slot holds, but always the last token', () => {
    const node = new SimulatedNode(spec);
    node.take(request({ inputTokens: 1_024 }), 0);
    expect(node.take(request({ inputTokens: 1_024 }), 10_000)).toMatchObject({
      cachedTokens: 1_023,
      firstTokenMs: 10_001,
    });
  });

  test('gives a request the free slot with the longest common beginning, else the one unused for longest', () => {
    const node = new SimulatedNode(spec);
    node.take(stranger(), 0);
    node.take(request({ blocks: [1, 2] }), 0);
    expect(node.preview(request({ blocks: [1, 9] }), 10_000)).toMatchObject({ slot: 1, cachedTokens: 512 });
    expect(node.preview(stranger(), 10_000)).toMatchObject({ slot: 0, cachedTokens: 0 });
    // Its slot is still writing: nothing is held for others.
    node.take(request({ blocks: [1, 2] }), 10_000);
    expect(node.preview(request({ blocks: [1, 9] }), 10_001)).toMatchObject({ slot: 0, cachedTokens: 0 });
  });

  test('forgets all but the last prompt of a slot', () => {
    const node = new SimulatedNode({ ...spec, slots: 1 });
    node.take(request({ blocks: [1, 2] }), 0);
    node.take(stranger(), 10_000);
    expect(node.preview(request({ blocks: [1, 2] }), 20_000).cachedTokens).toBe(0);
  });

  test('has its model loaded by the first request alone', () => {
    const node = new SimulatedNode({ ...spec, loadMs: 9_000 });
    expect(node.take(stranger(), 0)).toMatchObject({ prefillMs: 9_000, firstTokenMs: 10_000 });
    expect(node.take(stranger(), 20_000)).toMatchObject({ prefillMs: 20_000 });
  });

  test('writes more slowly beside other answers', () => {
    const node = new SimulatedNode({ ...spec, decodeFactors: [1, 0.5] });
    node.take(stranger({ outputTokens: 101 }), 0);
    expect(node.take(stranger(), 0)).toMatchObject({ firstTokenMs: 2_000, finishedMs: 4_000 });
  });

  test('changes nothing when it is only asked', () => {
    const node = new SimulatedNode(spec);
    node.preview(stranger(), 0);
    expect(node.outlook()).toEqual({ prefillFreeMs: 0, slotsFreeMs: [0, 0] });
  });
});

describe('what two prompts have in common', () => {
  test('is their leading blocks', () => {
    expect(commonTokens(request({ blocks: [1, 2] }), request({ blocks: [1, 3] }))).toBe(512);
    expect(commonTokens(request({ blocks: [1, 2] }), request({ blocks: [4, 2] }))).toBe(0);
  });

  test('includes the answer when the conversation goes on', () => {
    const held = request({ inputTokens: 1_100, outputTokens: 300, blocks: [1, 2, 3] });
    expect(commonTokens(held, request({ inputTokens: 1_500, blocks: [1, 2, 4] }))).toBe(1_400);
    // No room for the answer: something else that begins alike.
    expect(commonTokens(held, request({ inputTokens: 1_200, blocks: [1, 2, 4] }))).toBe(1_024);
  });

  test('is no conversation when all they share is one block, as a system prompt', () => {
    const held = request({ inputTokens: 600, outputTokens: 50, blocks: [1, 2] });
    expect(commonTokens(held, request({ inputTokens: 2_000, blocks: [1, 5, 6, 7] }))).toBe(512);
  });
});
