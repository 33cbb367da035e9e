import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import type { JsonObject } from '../../core/json-shape.ts';
import { readPromptText } from './prompt-text.ts';
import { changingShare, countWords } from './text-measure.ts';

const user = (content: unknown): JsonObject => ({ messages: [{ role: 'user', content }] });

describe('what counts as prompt', () => {
  test('is what the model reads: no settings, no metadata, no schema, no white space of the JSON', () => {
    const plain = readPromptText(user('Hello'));
    const padding = 'y'.repeat(20_000);
    const padded = { ...user('Hello'), metadata: { padding }, response_format: { json_schema: { padding } } };
    expect(readPromptText(padded)).toEqual({ ...plain, mostBytes: expect.any(Number) });
  });

  test('is text without its escapes, in UTF-8', () => {
    expect(readPromptText(JSON.parse('{"messages":[{"role":"user","content":"\\u043f\\n"}]}')).bytes).toBe(16 + 3);
  });

  test('are tools and their calls, but no images, audio or files', () => {
    const data = 'A'.repeat(100_000);
    const parts = [
      { type: 'text', text: 'What?' },
      { type: 'image_url', image_url: { url: data } },
      { type: 'input_audio', input_audio: { data, format: 'wav' } },
      { type: 'file', file: { file_data: data } },
    ];
    expect(readPromptText(user(parts))).toMatchObject({ texts: ['What?'], bytes: 16 + 5, images: 1, media: 3 });
    const tools = [{ type: 'function', function: { name: 'search', description: 'd'.repeat(1_000) } }];
    expect(readPromptText({ ...user('x'), tools }).bytes).toBeGreaterThan(1_000);
    const call = { role: 'assistant', content: null, tool_calls: [{ function: { arguments: 'a'.repeat(500) } }] };
    expect(readPromptText({ messages: [call] }).bytes).toBeGreaterThan(500);
  });

  test('are no earlier thoughts: templates drop them', () => {
    const thought = { role: 'assistant', content: `<think>${'long '.repeat(1_000)}</think>Yes.` };
    expect(readPromptText({ messages: [thought] }).texts).toEqual(['Yes.']);
    const inParts = { ...thought, content: [{ type: 'text', text: thought.content }] };
    expect(readPromptText({ messages: [inParts] }).texts).toEqual(['Yes.']);
  });

  test('may cost what some servers read nevertheless: thoughts, functions, schemas', () => {
    const thought = { role: 'assistant', content: `${'long '.repeat(1_000)}</think>Yes.` };
    const { bytes, mostBytes } = readPromptText({ messages: [thought] });
    expect(mostBytes - bytes).toBe(5_000 + '</think>'.length);
    const functions = [{ name: 'find', description: 'x'.repeat(1_000) }];
    expect(readPromptText({ ...user('x'), functions }).mostBytes).toBeGreaterThan(1_000);
    expect(readPromptText(user('x'))).toMatchObject({ mostBytes: readPromptText(user('x')).bytes });
  });

  test('is something for whatever shape', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (content, tools) => {
        const { bytes } = readPromptText({ messages: [{ content }, content, null], tools: [tools] });
        expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true);
      }),
    );
  });
});

describe('the words of a text', () => {
  const all = Number.POSITIVE_INFINITY;

  test('are counted as far as asked', () => {
    expect([countWords(['one two', 'three'], 2), countWords(['one two', 'three'], all)]).toEqual([2, 3]);
  });

  test('are none in white space, and one in digits or data without spaces, however long', () => {
    expect(countWords([' \n\t'.repeat(100_000), 'QUJD'.repeat(100_000), '='.repeat(100_000)], all)).toBe(2);
  });

  test('are parts of eight characters in scripts that have no spaces, and none in their wide space', () => {
    expect(countWords(['漢字'.repeat(400)], all)).toBe(101);
    expect(countWords(['\u3000'.repeat(400)], all)).toBe(0);
  });
});

test('repetitions of one character are told from text', () => {
  expect(changingShare(['The quick brown fox'])).toBe(1);
  expect(changingShare([' '.repeat(1_000), 'abc'])).toBeLessThan(0.01);
  expect(changingShare([])).toBe(1);
});
