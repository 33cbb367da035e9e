import { afterEach, describe, expect, test } from 'bun:test';
import { type Fault, type Simulator, startSimulator } from '../simulators/index.ts';
import { askGateway } from './client.ts';
import { expectedText, type RequestPlan, requestPlan } from './schedule.ts';

/** A server takes the gateway's place: to a client they look alike. */
let server: Simulator | null = null;
afterEach(async () => {
  await server?.stop();
  server = null;
});

async function ask(change: Partial<RequestPlan>, fault: Fault | null, { hungAfterMs = 2_000, firstTokenMs = 0 } = {}) {
  const plan = planOf(change);
  server = await startSimulator({ kind: 'vllm', models: [{ id: 'sim-model' }], firstTokenMs });
  await server.setFault(fault);
  return { plan, seen: await askGateway(server.url, plan, hungAfterMs) };
}

function planOf(change: Partial<RequestPlan>): RequestPlan {
  const plan = { ...requestPlan(1, 1), tool: false, includeUsage: false, place: null, abort: null, ...change };
  const { tools: _tools, stream_options: _options, ...body } = plan.body;
  const content = 'canary:s1-n1- naïve 東京の天気 🐝';
  return { ...plan, body: { ...body, stream: plan.stream, messages: [{ role: 'user', content }] } };
}

const WORDS = 12;

describe('a client of the chaos run', () => {
  test('reads a whole reply and a stream alike', async () => {
    for (const stream of [false, true]) {
      const { plan, seen } = await ask({ stream }, null);
      const { end, status, text, finishReason, done, error } = seen;
      expect({ end, status, text, finishReason, done, error }).toEqual({
        end: 'reply',
        status: 200,
        text: expectedText(plan, WORDS),
        finishReason: 'stop',
        done: stream,
        error: null,
      });
      await server?.stop();
    }
  });

  test('keeps what came before an error event', async () => {
    const { plan, seen } = await ask({ stream: true }, { kind: 'error-in-stream', afterChunks: 3 });
    expect([seen.end, seen.done, typeof seen.error?.message]).toEqual(['reply', false, 'string']);
    expect(expectedText(plan, WORDS).startsWith(seen.text)).toBe(true);
    expect(seen.text.split(' ').length).toBeGreaterThan(2);
  });

  test('sees a stream that just ends', async () => {
    const { seen } = await ask({ stream: true }, { kind: 'clean-end', afterChunks: 3 });
    expect([seen.end, seen.done, seen.error]).toEqual(['reply', false, null]);
  });

  test('sees an error reply', async () => {
    const { seen } = await ask({ stream: true }, { kind: 'status', status: 500 });
    expect([seen.end, seen.status, typeof seen.error?.message]).toEqual(['reply', 500, 'string']);
  });

  test('sees no reply, half a reply, half an event, and one that is none', async () => {
    const none = await ask({ stream: false }, { kind: 'reset-before-headers' });
    expect([none.seen.end, none.seen.status]).toEqual(['thrown', null]);
    for (const [stream, fault] of [
      [false, { kind: 'reset-after-bytes', bytes: 40 }],
      [true, { kind: 'reset', afterChunks: 2 }],
      [true, { kind: 'truncated-line', afterChunks: 2 }],
      [false, { kind: 'html' }],
    ] as const) {
      await server?.stop();
      const { seen } = await ask({ stream }, fault);
      expect([fault.kind, seen.end, seen.status]).toEqual([fault.kind, 'thrown', 200]);
    }
  });

  test('gives up what hangs, at the start and in the middle', async () => {
    for (const fault of [{ kind: 'hang' }, { kind: 'stall', afterChunks: 2 }] as const) {
      const { seen } = await ask({ stream: true }, fault, { hungAfterMs: 100 });
      expect(seen.end).toBe('hung');
      await server?.stop();
    }
  });

  test('leaves while it waits, and while it reads', async () => {
    const waiting = await ask({ abort: { phase: 'waiting', afterMs: 5 } }, { kind: 'hang' });
    expect([waiting.seen.end, waiting.seen.status]).toEqual(['aborted', null]);
    await server?.stop();
    const reading = await ask(
      { stream: true, abort: { phase: 'streaming', afterEvents: 3 } },
      { kind: 'stall', afterChunks: 5 },
    );
    expect([reading.seen.end, reading.seen.status, reading.seen.done]).toEqual(['aborted', 200, false]);
  });
});
