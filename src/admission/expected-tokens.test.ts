import { describe, expect, test } from 'bun:test';
import { NO_PROMPT } from '../core/prompt.ts';
import { expectedTokens } from './expected-tokens.ts';

function expected(prompt: { mostBytes?: number; media?: number; maxOutputTokens?: number }, body: object = {}): number {
  return expectedTokens({ prompt: { ...NO_PROMPT, ...prompt }, body: { ...body } }, 500);
}

describe('the tokens that are expected of a request', () => {
  test('are those of the prompt and of the longest answer that it allows', () => {
    expect(expected({ mostBytes: 301 })).toBe(101 + 500);
    expect(expected({ mostBytes: 300, maxOutputTokens: 20 })).toBe(120);
    expect(expected({ mostBytes: 300, media: 2, maxOutputTokens: 20 })).toBe(2_120);
  });

  test('count each answer, also those that are written and not shown', () => {
    expect(expected({ maxOutputTokens: 20 }, { n: 5 })).toBe(100);
    expect(expected({ maxOutputTokens: 20 }, { n: 2, best_of: 10 })).toBe(200);
    for (const n of [0, -5, 'x', null, Number.NaN]) expect(expected({ maxOutputTokens: 20 }, { n })).toBe(20);
  });
});
