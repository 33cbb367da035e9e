import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { promptFacts } from './prompt-facts.ts';

type Body = Readonly<Record<string, unknown>>;

function factsOf(body: Body, sessionId: string | null = null) {
  return promptFacts(new TextEncoder().encode(JSON.stringify(body)), body, sessionId);
}

const turn = (role: string, content: string) => ({ role, content });
const LONG = 'word '.repeat(2_000);

function sharedBlocks(a: Uint32Array, b: Uint32Array): number {
  let shared = 0;
  while (shared < Math.min(a.length, b.length) && a[shared] === b[shared]) shared++;
  return shared;
}

describe('the blocks of a prompt', () => {
  test('of a conversation that goes on begin with all the blocks of the turn before', () => {
    const first = [turn('system', 'Be brief.'), turn('user', LONG)];
    const before = factsOf({ model: 'm', messages: first, stream: true });
    const after = factsOf({ model: 'm', messages: [...first, turn('assistant', 'Yes.'), turn('user', LONG)] });
    expect(before.blocks.length).toBeGreaterThan(20);
    // The closing bracket of the list may fall into the last one.
    expect(sharedBlocks(before.blocks, after.blocks)).toBeGreaterThanOrEqual(before.blocks.length - 1);
  });

  test('differ from where the words differ, and from the first on when the tools do', () => {
    const words = (tail: string) => [turn('user', `${LONG}${tail}${LONG}`)];
    const [a, b] = [factsOf({ messages: words('a') }).blocks, factsOf({ messages: words('b') }).blocks];
    expect(sharedBlocks(a, b)).toBe(39);
    const tools = [{ type: 'function', function: { name: 'f' } }];
    expect(sharedBlocks(a, factsOf({ tools, messages: words('a') }).blocks)).toBe(0);
  });

  test('are the same wherever the fields stand', () => {
    const messages = [turn('user', LONG)];
    const blocks = factsOf({ messages, model: 'a', temperature: 1 }).blocks;
    expect(factsOf({ temperature: 0, stream: true, model: 'b', messages }).blocks).toEqual(blocks);
  });

  test('are none when the prompt is shorter than one, and never more than 320', () => {
    expect(factsOf({ messages: [turn('user', 'hi')] }).blocks.length).toBe(0);
    expect(factsOf({ messages: [turn('user', LONG.repeat(200))] }).blocks.length).toBe(320);
  });

  test('share what two prompts begin with, and no more', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 3_000 }), fc.string({ maxLength: 3_000 }), (a, b) => {
        const [one, other] = [factsOf({ messages: [turn('user', a)] }), factsOf({ messages: [turn('user', b)] })];
        const [left, right] = [JSON.stringify([turn('user', a)]), JSON.stringify([turn('user', b)])].map((text) =>
          Buffer.from(text),
        ) as [Buffer, Buffer];
        let same = 0;
        while (same < Math.min(left.length, right.length) && left[same] === right[same]) same++;
        expect(sharedBlocks(one.blocks, other.blocks)).toBe(
          Math.min(Math.floor(same / 256), one.blocks.length, other.blocks.length),
        );
      }),
    );
  });
});

describe('a conversation is told by', () => {
  const first = [turn('system', 'S'), turn('user', 'U')];

  test('how it began, when nothing else names it', () => {
    const longer = [...first, turn('assistant', 'A'), turn('user', 'V')];
    expect(factsOf({ messages: first }).conversation).toBe(factsOf({ messages: longer }).conversation);
    expect(factsOf({ messages: [turn('user', 'other')] }).conversation).not.toBe(
      factsOf({ messages: first }).conversation,
    );
  });

  test('its session, else its cache key', () => {
    const key = (body: Body, session: string | null = null) =>
      factsOf({ messages: first, ...body }, session).conversation;
    expect(key({ prompt_cache_key: 'k' }, 's')).toBe(key({}, 's'));
    expect(key({ session_id: 's', prompt_cache_key: 'k' })).toBe(key({}, 's'));
    expect(key({ prompt_cache_key: 'k' })).not.toBe(key({}));
  });
});

test('the data of an image is no text, and an image needs a model that sees', () => {
  const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(100_000)}` } };
  const facts = factsOf({ messages: [{ role: 'user', content: [{ type: 'text', text: 'What?' }, image] }] });
  expect([facts.media, facts.needs.vision]).toEqual([1, true]);
  expect(facts.bytes).toBeLessThan(300);
});

test('tools, a schema and the limit of the answer are seen', () => {
  const body = { messages: [], tools: [{}], response_format: { type: 'json_schema' }, max_tokens: 5 };
  expect(factsOf(body)).toMatchObject({ needs: { vision: false, tools: true, jsonSchema: true }, maxOutputTokens: 5 });
  expect(factsOf({ messages: [], max_tokens: -1, tools: 'x' })).toMatchObject({
    needs: { tools: false },
    maxOutputTokens: null,
  });
});

test('a long conversation is told by its beginning, in little time however long it is', () => {
  const [a, b] = ['a', 'b'].map((end) => factsOf({ messages: [turn('user', `${LONG.repeat(100)}${end}`)] }));
  const longer = factsOf({ messages: [turn('user', `${LONG.repeat(100)}ab`)] });
  expect(a?.conversation).toBe(b?.conversation as number);
  expect(a?.conversation).not.toBe(longer.conversation);
});

test('a prompt of padding is not taken for a long one', () => {
  const long = factsOf({ messages: [turn('user', LONG)] });
  expect([long.isLongerThan(8_000), long.isLongerThan(11_000)]).toEqual([true, false]);
  expect(factsOf({ messages: [turn('user', ' '.repeat(40_000))] }).isLongerThan(1_000)).toBe(false);
});

test('a client may want its prompt cut: vLLM and OpenRouter each have a setting for it', () => {
  const asks = (settings: object) => {
    const body = { messages: [{ role: 'user', content: 'x' }], ...settings };
    return promptFacts(Buffer.from(JSON.stringify(body)), body, null).cutOnRequest;
  };
  expect([asks({}), asks({ transforms: [] })]).toEqual([false, false]);
  expect([asks({ truncate_prompt_tokens: 100 }), asks({ transforms: ['middle-out'] })]).toEqual([true, true]);
});
