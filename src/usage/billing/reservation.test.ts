import { expect, test } from 'bun:test';
import { NO_PROMPT } from '../../core/prompt.ts';
import type { InferenceRequest, Operation } from '../../core/request.ts';
import { boundsOf } from './reservation.ts';

const bounds = (
  promptTokens: number,
  prompt: Partial<typeof NO_PROMPT>,
  body: object = {},
  operation: Operation = 'chat',
) => {
  const request = { operation, body, prompt: { ...NO_PROMPT, ...prompt } } as unknown as InferenceRequest;
  return boundsOf({ request, promptTokens } as Parameters<typeof boundsOf>[0], 1_000);
};

test('a call may use a token for three bytes, or more where the router counted more', () => {
  expect(bounds(10, { mostBytes: 100, maxOutputTokens: 50 })).toEqual({ promptTokens: 34, outputTokens: 50 });
  expect(bounds(80.5, { mostBytes: 100, maxOutputTokens: 50 })).toEqual({ promptTokens: 81, outputTokens: 50 });
});

test('pictures and sounds are tokens too', () => {
  expect(bounds(1, { mostBytes: 3, media: 2 }).promptTokens).toBe(5_001);
});

test('an answer without a limit has the usual one, and several answers are several times as long', () => {
  expect(bounds(1, {}).outputTokens).toBe(1_000);
  expect(bounds(1, { maxOutputTokens: 10 }, { n: 3 }).outputTokens).toBe(30);
  expect(bounds(1, { maxOutputTokens: 10 }, { n: 2, best_of: 5 }, 'completion').outputTokens).toBe(50);
  expect(bounds(1, { maxOutputTokens: 10 }, { n: 'many' }).outputTokens).toBe(10);
});

test('an embedding writes nothing', () => {
  expect(bounds(5, { mostBytes: 30 }, {}, 'embedding')).toEqual({ promptTokens: 10, outputTokens: 0 });
});
