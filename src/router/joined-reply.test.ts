import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { StreamBatch, StreamReply } from '../core/adapter.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { AnswerSoFar } from './answer-so-far.ts';
import { type CommittedReply, JoinedReply, type Resume } from './joined-reply.ts';

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
    producedTokens: 0,
    isComplete: false,
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

/** The parts in order, each asked for the rest; one that does not open is followed by the next, as in the engine. */
function rest(parts: readonly CommittedReply[], asked: string[] = []): Resume {
  const left = [...parts];
  return async (_, answer, opens) => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      asked.push(answer.prefill);
      const opened = await opens(next).then(
        () => true,
        () => false,
      );
      if (opened) return true;
    }
    return false;
  };
}

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
    const chunks = await readAll(new JoinedReply(first, rest([second], asked)));
    expect(asked).toEqual(['Hello there']);
    expect(textOf(chunks)).toBe('Hello there, friend');
    expect(new Set(chunks.map(({ id }) => String(id)))).toEqual(new Set(['first']));
    expect(chunks.filter((chunk) => JSON.stringify(chunk).includes('assistant')).length).toBe(1);
    expect(chunks.filter((chunk) => JSON.stringify(chunk).includes('stop')).length).toBe(1);
  });

  test('has an id also when its first chunk had none, as on Azure', async () => {
    const first = part([event({ content: '' }, {}, '') + event({ content: 'one' }, {}, 'real')], cut);
    const chunks = await readAll(new JoinedReply(first, rest([part([event({ content: ' two' }, {}, 'other')])])));
    expect(chunks.map(({ id }) => String(id))).toEqual(['', 'real', 'real']);
  });

  test('goes on as often as servers break', async () => {
    const parts = [
      part([event({ content: ' b' })], cut),
      part([event({ content: ' c' })], cut),
      part([event({ content: ' d' })]),
    ];
    const chunks = await readAll(new JoinedReply(part([event({ content: 'a' })], cut), rest(parts)));
    expect(textOf(chunks)).toBe('a b c d');
  });

  test('ends where it broke when nothing was left to say', async () => {
    const second = part([event({ role: 'assistant', content: '' }) + event({}, { finish_reason: 'stop' })]);
    const chunks = await readAll(new JoinedReply(part([event({ content: 'all' })], cut), rest([second])));
    expect(chunks.map((chunk) => chunk['choices']?.[0])).toMatchObject([
      { delta: { content: 'all' } },
      { delta: {}, finish_reason: 'stop' },
    ]);
  });

  test('hands on a tool call behind the rest of its text', async () => {
    const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };
    const second = part([event({ content: ' look' }), event({ tool_calls: [call] })]);
    const chunks = await readAll(new JoinedReply(part([event({ content: 'Let me' })], cut), rest([second])));
    expect(textOf(chunks)).toBe('Let me look');
    expect(chunks.at(-1)?.['choices']).toMatchObject([{ delta: { tool_calls: [call] } }]);
  });

  test('its usage counts the beginning as completion, with the total that the last server counted', async () => {
    const usage = {
      prompt_tokens: 12,
      completion_tokens: 3,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 11 },
    };
    const first = part([event({ content: 'a' }), event({ content: ' b' })], cut);
    const second = part([event({ content: ' c' }), `data: ${JSON.stringify({ choices: [], usage })}\n\n`]);
    const chunks = await readAll(new JoinedReply(first, rest([second])));
    expect(chunks.at(-1)?.['usage']).toEqual({
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 15,
      prompt_tokens_details: { cached_tokens: 10 },
    } as never);
  });

  const NOT_OPENED: readonly [string, CommittedReply][] = [
    ['breaks before it says anything', part([event({ role: 'assistant', content: '' })], cut)],
    ['breaks while it repeats the beginning', part([event({ content: 'The bees ' })], cut)],
    ['begins to reason', part([event({ reasoning_content: 'hm' }), event({ content: ' of flowers' })])],
    ['says a short beginning once more, which may be new', part([event({ content: 'The bees tell of flowers' })])],
  ];
  for (const [why, unfit] of NOT_OPENED) {
    test(`is given by another server when one ${why}; nothing of that one is seen`, async () => {
      const asked: string[] = [];
      const parts = [unfit, part([event({ content: ' of flowers.' })])];
      const chunks = await readAll(
        new JoinedReply(part([event({ content: 'The bees tell' })], cut), rest(parts, asked)),
      );
      expect(textOf(chunks)).toBe('The bees tell of flowers.');
      expect(asked).toEqual(['The bees tell', 'The bees tell']);
    });
  }

  test('is not held for ever by a server that reports its usage and nothing else', async () => {
    const usage = `data: ${JSON.stringify({ choices: [], usage: { padding: 'x'.repeat(100_000) } })}\n\n`;
    const silent = part(Array.from({ length: 1_000 }, () => usage));
    const last = part([event({ content: ' there' }), event({}, { finish_reason: 'stop' })]);
    const reply = new JoinedReply(part([event({ role: 'assistant', content: 'Hello' })], cut), rest([silent, last]));
    expect(textOf(await readAll(reply))).toBe('Hello there');
  });

  test('the first failure stands when nobody opens', async () => {
    const thinker = part([event({ reasoning: 'hm' })]);
    const reply = new JoinedReply(part([event({ content: 'The bees tell' })], cut), rest([thinker]));
    await expect(readAll(reply)).rejects.toBe(cut);
  });

  const NOT_CONTINUED: readonly [string, string[], UpstreamError?][] = [
    ['a tool call has begun', [event({ content: 'x' }), event({ tool_calls: [{ index: 0, id: 'c' }] })]],
    ['a function call has begun', [event({ content: 'x' }), event({ function_call: { name: 'f' } })]],
    ['reasoning has come', [event({ reasoning_content: 'hm' }), event({ content: 'x' })]],
    ['it is a refusal', [event({ content: 'x' }), event({ refusal: 'no' })]],
    ['there is a second choice', [event({ content: 'x' }), event({ content: 'y' }, { index: 1 })]],
    ['a whole message came instead of pieces', [event({ content: 'x' }), event({}, { message: { content: 'x y' } })]],
    ['nothing but white space has come', [event({ content: ' \n' })]],
    ['it is finished already', [event({ content: 'x' }), event({}, { finish_reason: 'stop' })]],
    ['it ends within a character', [event({ content: 'x\ud83d' })]],
    ['it is longer than is kept', [event({ content: 'x'.repeat(1_048_577) }), event({ content: 'y' })]],
    ['the client left', [event({ content: 'x' })], new UpstreamError('cancelled', 'gone')],
    ['a filter stopped it', [event({ content: 'x' })], new UpstreamError('filtered', 'no')],
  ];
  for (const [why, events, failure = cut] of NOT_CONTINUED) {
    test(`is not tried when ${why}`, async () => {
      let asked = 0;
      const reply = new JoinedReply(part(events, failure), async () => {
        asked++;
        return false;
      });
      await expect(readAll(reply)).rejects.toBe(failure);
      expect(asked).toBe(0);
    });
  }

  test('never repeats and never drops a character, wherever it breaks and whoever says the beginning once more', async () => {
    const word = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 6 }),
      fc.constantFrom(' ', '\n', '\n\n', '  ', '🐝', 'é', 'word '),
    );
    const text = fc.array(word, { minLength: 12, maxLength: 40 }).map((words) => words.join(''));
    const pieces = (whole: string, cuts: readonly number[]): string[] => {
      const at = [...new Set(cuts.map((each) => each % (whole.length + 1)))].sort((a, b) => a - b);
      return [0, ...at].map((from, index) => whole.slice(from, at[index] ?? whole.length));
    };
    let continued = 0;
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.array(fc.record({ at: fc.nat(200), echoes: fc.boolean() }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(200), { maxLength: 8 }),
        async (answer, breaks, cuts) => {
          const eventsOf = (said: string) => pieces(said, cuts).map((content) => event({ content }));
          let number = 0;
          let unclear = false;
          // Each server goes on behind what it was given, breaks again, and the last one finishes.
          const resume: Resume = async (_, soFar: AnswerSoFar, opens) => {
            expect(answer.startsWith(soFar.prefill)).toBe(true);
            const from = soFar.prefill.length;
            const echo = breaks[number]?.echoes === true ? soFar.prefill : '';
            const next = breaks[++number];
            const to = next === undefined ? answer.length : from + (next.at % (answer.length - from + 1));
            const said = echo + answer.slice(from, to);
            // A long beginning that the answer says twice cannot be told from an echo, whoever looks at it.
            fc.pre(echo !== '' || !said.startsWith(soFar.prefill.trimStart()) || soFar.prefill.trimStart().length < 32);
            const opened = await opens(
              part([event({ role: 'assistant' }), ...eventsOf(said)], next === undefined ? null : cut),
            ).then(
              () => true,
              (error: UpstreamError) => {
                unclear ||= error.kind === 'rejected';
                return false;
              },
            );
            // It broke before anything new: one more server is asked for the same.
            return opened || (!unclear && next !== undefined ? resume(cut, soFar, opens) : false);
          };
          const first = (breaks[0]?.at ?? 0) % (answer.length + 1);
          const reply = new JoinedReply(part(eventsOf(answer.slice(0, first)), cut), resume);
          const got = await readAll(reply).catch((error: unknown) => {
            if (error === cut) return null;
            throw error;
          });
          // Where it may not be continued the failure stands, and nothing was joined.
          if (got === null) return;
          continued++;
          expect(textOf(got)).toBe(answer);
        },
      ),
      { numRuns: 1_000 },
    );
    expect(continued).toBeGreaterThan(300);
  });
});
