import { describe, expect, test } from 'bun:test';
import { ANYONE } from '../core/caller.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import type { InferenceRequest } from '../core/request.ts';
import { asksForPlainText, continuationRequest, isAtLimit, mayEndHere } from './continuation.ts';

const QUESTION = { role: 'user', content: 'Tell me.' };

function requestOf(more: Readonly<Record<string, unknown>>, change: Partial<InferenceRequest> = {}): InferenceRequest {
  const body = { messages: [QUESTION], stream: true, ...more };
  return {
    id: 'r',
    operation: 'chat',
    requestedModel: '',
    stream: true,
    includeUsage: false,
    rawBody: new TextEncoder().encode(JSON.stringify(body)),
    body,
    fence: { place: null, strictModel: false, route: null, maxFirstTokenMs: null },
    prompt: NO_PROMPT,
    continues: false,
    hops: 0,
    traceparent: null,
    caller: ANYONE,
    rateLease: null,
    clientSignal: new AbortController().signal,
    acceptedAtMs: 0,
    ...change,
  };
}

describe('an answer may be continued', () => {
  test('when plain text of one choice is asked for', () => {
    for (const more of [{}, { n: 1 }, { response_format: { type: 'text' } }, { tools: [], modalities: ['text'] }]) {
      expect([more, asksForPlainText(requestOf(more))]).toEqual([more, true]);
    }
  });

  const NOT: readonly [string, Readonly<Record<string, unknown>>][] = [
    ['several choices', { n: 2 }],
    ['log probabilities', { logprobs: true }],
    ['JSON', { response_format: { type: 'json_object' } }],
    ['JSON by a schema', { response_format: { type: 'json_schema', json_schema: {} } }],
    ['a grammar, as llama.cpp calls it', { grammar: 'root ::= "a"' }],
    ['a form, as vLLM calls it', { guided_json: {} }],
    ['a form, as SGLang calls it', { regex: 'a+' }],
    ['audio', { modalities: ['text', 'audio'] }],
    ['going on with a beginning of the client’s own', { messages: [QUESTION, { role: 'assistant', content: 'Once' }] }],
  ];
  for (const [what, more] of NOT) {
    test(`not when ${what} is asked for`, () => expect(asksForPlainText(requestOf(more))).toBe(false));
  }

  test('not when the reply is wanted whole', () => {
    expect(asksForPlainText(requestOf({}, { stream: false }))).toBe(false);
  });

  test('not in the midst of a stop sequence, which the next server could not see', () => {
    const request = requestOf({ stop: ['###', 'END'] });
    expect(['Done #', 'Done ##', 'Done EN'].map((text) => mayEndHere(request, text))).toEqual([false, false, false]);
    expect(['Done', 'Done e', 'D # n'].map((text) => mayEndHere(request, text))).toEqual([true, true, true]);
    expect([mayEndHere(requestOf({ stop: 'END' }), 'EN'), mayEndHere(requestOf({}), 'EN')]).toEqual([false, true]);
  });
});

test('nothing is left of an answer that has reached its token limit', () => {
  expect([isAtLimit(requestOf({ max_tokens: 4 }), 3), isAtLimit(requestOf({ max_tokens: 4 }), 4)]).toEqual([
    false,
    true,
  ]);
  expect(isAtLimit(requestOf({ max_completion_tokens: 4 }), 5)).toBe(true);
  expect(isAtLimit(requestOf({ max_tokens: null }), 5)).toBe(false);
});

describe('the request for the rest', () => {
  const restOf = (more: Readonly<Record<string, unknown>>, produced: number) =>
    JSON.parse(new TextDecoder().decode(continuationRequest(requestOf(more), 'Once upon', produced).rawBody));

  test('has the beginning as the assistant’s last message, and everything else as the client sent it', () => {
    expect(restOf({ temperature: 0.5, my_field: [1] }, 2)).toEqual({
      messages: [QUESTION, { role: 'assistant', content: 'Once upon' }],
      stream: true,
      temperature: 0.5,
      my_field: [1],
    });
  });

  test('has what is left of the token limit', () => {
    expect(restOf({ max_tokens: 10 }, 4).max_tokens).toBe(6);
    expect(restOf({ max_completion_tokens: 10 }, 9).max_completion_tokens).toBe(1);
    expect(restOf({ max_tokens: null }, 4).max_tokens).toBe(null);
  });
});
