import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { StreamBatch, StreamReply } from '../core/adapter.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { AnswerSoFar } from './answer-so-far.ts';
import { type CommittedReply, JoinedReply } from './joined-reply.ts';

const encoder = new TextEncoder();
const event = (delta: object, more: object = {}, id = 'first') =>
  `data: ${JSON.stringify({ id, created: 1, choices: [{ index: 0, delta, finish_reason: null, ...more }] })}\n\n`;

/** A part that gives these batches of events and then ends, or breaks. */
function part(batches: readonly string[], failure: UpstreamError | null = null): CommittedReply {
  const left = batches.map((text): StreamBatch => ({ bytes: encoder.encode(text), hasContent: true }));
  const reply: StreamReply = {
    kind: 'stream',
    model: 'm',
    usage: null,
    next: async () => {
      const batch = left.shift();
      if (batch !== undefined) return batch;
      if (failure !== null) throw failure;
      return null;
    },
    cancel: () => undefined,
  };
  const held = left.shift()?.bytes ?? new Uint8Array(0);
  return { kind: 'stream', reply, held, ended: false, record: {} as AttemptRecord };
}

const cut = new UpstreamError('truncated', 'cut');

async function readAll(reply: JoinedReply): Promise<Record<string, never>[]> {
  const decoder = new TextDecoder();
  let text = decoder.decode(reply.held);
  for (let batch = await reply.next(); batch !== null; batch = await reply.next()) text += decoder.decode(batch.bytes);
  return text
    .split('\n\n')
    .filter((each) => each !== '')
    .map((each) => JSON.parse(each.slice('data: '.length)));
}

const textOf = (chunks: readonly unknown[]) =>
  (chunks as { choices: { delta: { content?: string } }[] }[])
    .map(({ choices }) => choices[0]?.delta.content ?? '')
    .join('');

describe('a continued answer', () => {
  test('is one answer: the id of the first part, one role, one finish', async () => {
    const first = part([event({ role: 'assistant', content: 'Hello' }), event({ content: ' there' })], cut);
    const second = part([
      event({ role: 'assistant', content: '' }, {}, 'second'),
      event({ content: ', friend' }, {}, 'second') + event({}, { finish_reason: 'stop' }, 'second'),
    ]);
    const asked: string[] = [];
    const chunks = await readAll(
      new JoinedReply(first, async (_, answer) => {
        asked.push(answer.prefill);
        return second;
      }),
    );
    expect(asked).toEqual(['Hello there']);
    expect(textOf(chunks)).toBe('Hello there, friend');
    expect(new Set(chunks.map(({ id }) => String(id)))).toEqual(new Set(['first']));
    expect(chunks.filter((chunk) => JSON.stringify(chunk).includes('assistant')).length).toBe(1);
    expect(chunks.filter((chunk) => JSON.stringify(chunk).includes('stop')).length).toBe(1);
  });

  test('goes on as often as servers break', async () => {
    const parts = [
      part([event({ content: ' b' })], cut),
      part([event({ content: ' c' })], cut),
      part([event({ content: ' d' })]),
    ];
    const chunks = await readAll(
      new JoinedReply(part([event({ content: 'a' })], cut), async () => parts.shift() ?? null),
    );
    expect(textOf(chunks)).toBe('a b c d');
  });

  const NOT_CONTINUED: readonly [string, string[], UpstreamError?][] = [
    ['a tool call has begun', [event({ content: 'x' }), event({ tool_calls: [{ index: 0, id: 'c' }] })]],
    ['reasoning has come', [event({ reasoning_content: 'hm' }), event({ content: 'x' })]],
    ['it is a refusal', [event({ content: 'x' }), event({ refusal: 'no' })]],
    ['there is a second choice', [event({ content: 'x' }), event({ content: 'y' }, { index: 1 })]],
    ['nothing but white space has come', [event({ content: ' \n' })]],
    ['it is finished already', [event({ content: 'x' }), event({}, { finish_reason: 'stop' })]],
    ['it ends within a character', [event({ content: 'x\ud83d' })]],
    ['the client left', [event({ content: 'x' })], new UpstreamError('cancelled', 'gone')],
    ['a filter stopped it', [event({ content: 'x' })], new UpstreamError('filtered', 'no')],
  ];
  for (const [why, events, failure = cut] of NOT_CONTINUED) {
    test(`is not tried when ${why}`, async () => {
      let asked = 0;
      const reply = new JoinedReply(part(events, failure), async () => {
        asked++;
        return null;
      });
      await expect(readAll(reply)).rejects.toBe(failure);
      expect(asked).toBe(0);
    });
  }

  test('never repeats and never drops a character, wherever it breaks and however it is cut into pieces', async () => {
    const word = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.constantFrom(' ', '\n', '\n\n', '  ', '🐝', 'é'),
    );
    const text = fc.array(word, { minLength: 2, maxLength: 30 }).map((words) => words.join(''));
    const pieces = (whole: string, cuts: readonly number[]): string[] => {
      const at = [...new Set(cuts.map((each) => each % (whole.length + 1)))].sort((a, b) => a - b);
      return [0, ...at].map((from, index) => whole.slice(from, at[index] ?? whole.length));
    };
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.nat(200), { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(200), { maxLength: 8 }),
        async (answer, breaks, cuts) => {
          const eventsOf = (from: number) => pieces(answer.slice(from), cuts).map((content) => event({ content }));
          const upTo = (from: number, to: number) =>
            pieces(answer.slice(from, to), cuts).map((content) => event({ content }));
          let at = (breaks[0] ?? 0) % (answer.length + 1);
          let number = 0;
          // Each server goes on behind what it was given, breaks again, and the last one finishes.
          const resume = async (_: UpstreamError, soFar: AnswerSoFar): Promise<CommittedReply> => {
            expect(answer.startsWith(soFar.prefill)).toBe(true);
            const from = soFar.prefill.length;
            const next = breaks[++number];
            if (next === undefined) return part(eventsOf(from));
            at = from + (next % (answer.length - from + 1));
            return part(upTo(from, at), cut);
          };
          const reply = new JoinedReply(part(upTo(0, at), cut), resume);
          const got = await readAll(reply).catch((error: unknown) => error);
          // Where it may not be continued the failure stands, and nothing was joined.
          if (got === cut) return;
          expect(textOf(got as unknown[])).toBe(answer);
        },
      ),
      { numRuns: 500 },
    );
  });
});
