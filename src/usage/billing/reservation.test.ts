import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { NO_PROMPT } from '../../core/prompt.ts';
import type { InferenceRequest, Operation } from '../../core/request.ts';
import { answerLimitOf, likelyBounds, upperBounds } from './reservation.ts';

type Purchase = Parameters<typeof upperBounds>[0];

const purchaseOf = (body: object, promptTokens = 1, prompt: object = {}, operation: Operation = 'chat'): Purchase => {
  const request = { operation, body, prompt: { ...NO_PROMPT, ...prompt } } as unknown as InferenceRequest;
  return { request, promptTokens } as Purchase;
};

describe('a call that no hard budget waits for is likely to use', () => {
  const likely = (promptTokens: number, prompt: object, body: object = {}, operation: Operation = 'chat') =>
    likelyBounds(purchaseOf(body, promptTokens, prompt, operation), 1_000);

  test('a token for three bytes, or more where the router counted more', () => {
    expect(likely(10, { mostBytes: 100 }, { max_tokens: 50 })).toEqual({ promptTokens: 34, outputTokens: 50 });
    expect(likely(80.5, { mostBytes: 100 }, { max_tokens: 50 })).toEqual({ promptTokens: 81, outputTokens: 50 });
  });

  test('tokens for pictures and sounds too', () => {
    expect(likely(1, { mostBytes: 3, media: 2 }).promptTokens).toBe(5_001);
  });

  test('the usual number for an answer without a limit, and several times that for several answers', () => {
    expect(likely(1, {}).outputTokens).toBe(1_000);
    expect(likely(1, {}, { max_tokens: 10, n: 3 }).outputTokens).toBe(30);
    expect(likely(1, {}, { max_tokens: 10, n: 2, best_of: 5 }, 'completion').outputTokens).toBe(50);
    expect(likely(1, {}, { max_tokens: 10, n: 'many' }).outputTokens).toBe(10);
  });

  test('nothing for what an embedding writes', () => {
    expect(likely(5, { mostBytes: 30 }, {}, 'embedding')).toEqual({ promptTokens: 10, outputTokens: 0 });
  });
});

describe('the client limits an answer', () => {
  for (const [body, limit] of [
    [{}, null],
    [{ max_tokens: 7 }, 7],
    [{ max_completion_tokens: 7 }, 7],
    [{ max_completion_tokens: 7, max_tokens: 9 }, 9],
    [{ max_tokens: -1 }, null],
    [{ max_tokens: 0 }, null],
    [{ max_tokens: '5' }, null],
    [{ max_tokens: 1.5 }, null],
    [{ max_tokens: null, n_predict: 5 }, null],
  ] as const) {
    test(`${JSON.stringify(body)}: ${limit ?? 'not at all'}`, () => {
      expect(answerLimitOf(purchaseOf(body).request)).toBe(limit);
    });
  }
});

describe('under a hard budget a call is taken for the most that it can use', () => {
  const most = (body: object, answerTokens = 10, promptTokens = 1) =>
    upperBounds(purchaseOf(body, promptTokens), answerTokens);

  test('no text has more tokens than bytes, wherever in the body it stands and whatever it is called', () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const message = fc.oneof(
      fc.record({ role: text, content: text, name: text, reasoning_content: text }, { requiredKeys: ['role'] }),
      fc.record({ role: text, content: fc.array(fc.record({ type: fc.constantFrom('text', 'refusal'), text })) }),
      fc.record({ role: text, tool_calls: fc.array(fc.record({ id: text, function: fc.dictionary(text, text) })) }),
    );
    const body = fc.record(
      { messages: fc.array(message), tools: fc.array(fc.dictionary(text, fc.jsonValue())), documents: fc.jsonValue() },
      { requiredKeys: ['messages'] },
    );
    fc.assert(
      fc.property(body, (seen) => {
        expect(most(seen).promptTokens).toBeGreaterThanOrEqual(textBytes(seen));
      }),
    );
  });

  test('a text counts for what tokenizers make of it before they count, where that is longer', () => {
    const tokens = (content: string): number => most({ messages: [{ role: 'user', content }] }).promptTokens;
    const plain = tokens('');
    // 3 bytes that are 33 in NFKC, 4 that are 12 in NFC, and an accent that either makes shorter.
    expect(tokens('\uFDFA'.repeat(100)) - plain).toBe(3_300);
    expect(tokens('\u{1D160}'.repeat(100)) - plain).toBe(1_200);
    expect(tokens('e\u0301'.repeat(100)) - plain).toBe(300);
  });

  test('what the router has learned of the model counts where it is more', () => {
    expect(most({ messages: [{ role: 'user', content: 'hi' }] }, 10, 5_000.5).promptTokens).toBe(5_001);
  });

  test('a part that is no text counts as what it may be, not as its bytes', () => {
    const withPart = (part: object) => most({ messages: [{ role: 'user', content: [part] }] }).promptTokens;
    const none = withPart({ type: 'text', text: '' });
    const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(1_000_000)}` } };
    expect(withPart(picture) - none).toBeGreaterThan(9_000);
    expect(withPart(picture) - none).toBeLessThan(11_000);
    // Ten seconds of it, 16 bits at 24 kHz.
    const sound = { type: 'input_audio', input_audio: { data: 'A'.repeat(640_000), format: 'wav' } };
    expect(withPart(sound)).toBeGreaterThan(40_000);
    expect(withPart({ type: 'file', file: { file_data: 'A'.repeat(50_000) } })).toBeGreaterThan(60_000);
    expect(withPart({ text: 'hi', image_url: 'https://a.example/b.png' })).toBeGreaterThan(10_000);
    // vLLM needs no `type`.
    expect(withPart({ video_url: { url: 'https://a.example/b.mp4' } })).toBeGreaterThan(10_000);
    expect(withPart({ type: 'text', text: 'hi', audio_url: { url: 'https://a.example/b.wav' } })).toBeGreaterThan(
      10_000,
    );
    const loud = { type: 'input_audio', input_audio: { data: 'A' }, video_url: { url: 'https://a.example/b.mp4' } };
    expect(withPart(loud)).toBeGreaterThan(10_000);
    expect(withPart({ ...picture, text: 'x'.repeat(50_000) })).toBeGreaterThan(50_000);
  });

  test('a part that is text counts as its bytes, with what providers add to it', () => {
    const withPart = (part: object) => most({ messages: [{ role: 'user', content: [part] }] }).promptTokens;
    const none = withPart({ type: 'text', text: '' });
    expect(withPart({ type: 'text', text: 'hi', cache_control: { type: 'ephemeral' } }) - none).toBeLessThan(100);
    expect(withPart({ type: 'refusal', refusal: 'no' }) - none).toBeLessThan(100);
    expect(withPart({ text: 'hi' }) - none).toBeLessThan(100);
  });

  test('all answers count, also where their number is text, and what was foretold wrongly', () => {
    expect(most({ messages: [], n: 3 }).outputTokens).toBe(30);
    expect(most({ messages: [], n: '3' }).outputTokens).toBe(30);
    expect(most({ messages: [], best_of: 4, n: 2 }).outputTokens).toBe(40);
    expect(
      most({ messages: [], prediction: { type: 'content', content: 'x'.repeat(500) } }).outputTokens,
    ).toBeGreaterThan(510);
    fc.assert(
      fc.property(fc.anything(), (n) => {
        const { outputTokens } = most({ messages: [], n });
        expect(outputTokens).toBeGreaterThanOrEqual(10);
        expect(Number.isNaN(outputTokens)).toBe(false);
      }),
    );
  });
});

/** UTF-8 of all texts and names in it. */
function textBytes(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [name, item]) => sum + (Array.isArray(value) ? 0 : Buffer.byteLength(name)) + textBytes(item),
    0,
  );
}
