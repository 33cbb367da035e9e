import { costOf, estimateNanoUsd, tokenPrice } from '../../src/core/price.ts';
import type { Usage } from '../../src/core/usage.ts';
import { PriceBook } from '../../src/usage/prices/price-book.ts';
import { keep, type MicroResult, timePerRunNs } from './harness.ts';

const CLOUD = {
  id: 'openrouter',
  provider: 'openrouter',
  adapterKind: 'openrouter',
  place: 'cloud',
  baseUrl: 'https://openrouter.ai/api/v1',
  deployments: new Map<string, string>(),
} as const;

const USAGE: Usage = {
  promptTokens: 12_345,
  completionTokens: 678,
  cachedTokens: 12_000,
  reasoningTokens: 500,
  costNanoUsd: null,
  parts: {
    cacheWriteTokens: 300,
    audioInputTokens: 0,
    imageInputTokens: 0,
    audioOutputTokens: 0,
    imageOutputTokens: 0,
  },
};

const NOW = Date.parse('2026-09-24T12:00:00Z');
const MODEL = 'anthropic/claude-sonnet-4.5';

/** What pricing adds to a request: the price, what is set aside before the call, what it came to. */
export function priceBenchmarks(): readonly MicroResult[] {
  const overrides = Array.from({ length: 1_000 }, (_, at) => ({
    provider: null,
    model: `house-${at}`,
    price: tokenPrice('override', { input: 1e9, output: 2e9 }),
  }));
  const book = new PriceBook({ overrides });
  const question = { target: CLOUD, model: MODEL, listed: null, answeredBy: '', nowMs: NOW };
  const price = book.priceOf(question);
  let invented = 0;
  return [
    { name: 'price of a model, 1,000 overrides', rounds: timePerRunNs(() => keep(book.priceOf(question))) },
    {
      name: 'price of a model never asked for before',
      rounds: timePerRunNs(() => keep(book.priceOf({ ...question, model: `invented-${invented++}` }))),
    },
    { name: 'estimate before a call', rounds: timePerRunNs(() => keep(estimateNanoUsd(12_345, 4_096, price))) },
    { name: 'cost of a call', rounds: timePerRunNs(() => keep(costOf(USAGE, price))) },
    {
      name: 'price, estimate and cost of a call',
      rounds: timePerRunNs(() => {
        const found = book.priceOf(question);
        keep(estimateNanoUsd(12_345, 4_096, found));
        keep(costOf(USAGE, found));
      }),
    },
  ];
}
