import { expect, test } from 'bun:test';
import { readUsage } from './usage.ts';

const PLAIN = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };

test('tokens with prices of their own are told apart, and nothing is added where there are none', () => {
  expect(
    readUsage({
      ...PLAIN,
      prompt_tokens_details: { cached_tokens: 10, cache_write_tokens: 7, audio_tokens: 5, image_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 2, audio_tokens: 4, image_tokens: 6 },
    }),
  ).toEqual({
    promptTokens: 100,
    completionTokens: 20,
    cachedTokens: 10,
    reasoningTokens: 2,
    costNanoUsd: null,
    parts: {
      cacheWriteTokens: 7,
      audioInputTokens: 5,
      imageInputTokens: 3,
      audioOutputTokens: 4,
      imageOutputTokens: 6,
    },
  });
  const zeros = { prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 }, completion_tokens_details: null };
  expect(readUsage({ ...PLAIN, ...zeros })).not.toHaveProperty('parts');
});

test('counts that are none count as 0, wherever they stand', () => {
  const details = { cache_write_tokens: -1, audio_tokens: 'many', image_tokens: 1.5 };
  const usage = readUsage({ prompt_tokens: Number.NaN, completion_tokens: -3, prompt_tokens_details: details });
  expect(usage).toEqual({
    promptTokens: 0,
    completionTokens: 0,
    cachedTokens: null,
    reasoningTokens: 0,
    costNanoUsd: null,
  });
});

test('reasoning that a server counts beside its answer belongs to the answer', () => {
  const details = { completion_tokens_details: { reasoning_tokens: 300 } };
  const beside = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 420, ...details };
  expect(readUsage(beside)?.completionTokens).toBe(320);
  const within = { prompt_tokens: 100, completion_tokens: 320, total_tokens: 420, ...details };
  expect(readUsage(within)?.completionTokens).toBe(320);
  expect(readUsage({ ...beside, total_tokens: undefined })?.completionTokens).toBe(20);
});

test("cached tokens are found under DeepSeek's name too", () => {
  expect(readUsage({ ...PLAIN, prompt_cache_hit_tokens: 64, prompt_cache_miss_tokens: 36 })?.cachedTokens).toBe(64);
  const both = { ...PLAIN, prompt_cache_hit_tokens: 64, prompt_tokens_details: { cached_tokens: 60 } };
  expect(readUsage(both)?.cachedTokens).toBe(60);
});

test("OpenRouter's charge is what it took, with a customer's own key what the model's maker took as well", () => {
  const details = { cost_details: { upstream_inference_cost: 0.019 } };
  expect(readUsage({ ...PLAIN, cost: 0.00095, is_byok: false, ...details })?.costNanoUsd).toBe(950_000);
  expect(readUsage({ ...PLAIN, cost: 0.00095, is_byok: true, ...details })?.costNanoUsd).toBe(19_950_000);
  expect(readUsage({ ...PLAIN, cost: 0.00095, is_byok: true })?.costNanoUsd).toBe(950_000);
  for (const cost of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e300, '0.1', null, {}]) {
    expect(readUsage({ ...PLAIN, cost })?.costNanoUsd).toBeNull();
  }
});
