import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { calcPrice, type Usage as PackageUsage, type PriceCalculationResult } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { catalogueText } from '../../../scripts/catalogue.ts';
import { costOf } from '../../core/price.ts';
import type { Usage } from '../../core/usage.ts';
import { ownCatalogue, plainName } from './catalogue.ts';
import type { CatalogueFile, CatalogueModel } from './catalogue-format.ts';
import { priceAt } from './tariff.ts';

const TEXT = readFileSync(join(import.meta.dir, 'catalogue.json'), 'utf8');
const file = JSON.parse(TEXT) as CatalogueFile;
const MODELS = file.providers.flatMap(({ id, models }) => models.map((model) => ({ provider: id, model })));
const ON_THE_DAY = Date.parse(`${file.date}T12:00:00Z`);

describe('the shipped catalogue', () => {
  test('is what the script makes of the installed package', () => {
    expect(TEXT).toBe(catalogueText());
  });

  test('says where its prices come from and of which day they are', () => {
    expect(ownCatalogue().source).toMatch(/^@pydantic\/genai-prices \d+\.\d+\.\d+ \(MIT\)$/);
    expect(ownCatalogue().date).toMatch(/^20\d\d-\d\d-\d\d$/);
  });

  test('holds only whole numbers ≥ 0, tiers that rise, and patterns that can be read', () => {
    expect(MODELS.length).toBeGreaterThan(1_000);
    for (const { model } of MODELS) {
      for (const price of model.prices) {
        const starts = (price.tiers ?? []).map(({ above }) => above);
        expect(starts).toEqual(starts.toSorted((a, b) => a - b));
        for (const rates of [price, ...(price.tiers ?? [])]) {
          for (const value of Object.values(rates).filter((each) => typeof each === 'number')) {
            expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
          }
        }
      }
      for (const pattern of (model.match ?? []).flat()) {
        expect(pattern).toMatch(/^[=^$~/]./);
        if (pattern.startsWith('/')) expect(() => new RegExp(pattern.slice(1), 'i')).not.toThrow();
      }
    }
  });

  test('stays small enough to ship', () => {
    expect(TEXT.length).toBeLessThan(300_000);
  });
});

/** Names that the model goes by: its id and whatever must fit as a whole. */
function namesOf({ id, match }: CatalogueModel): readonly string[] {
  const whole = (match ?? []).flat().filter((pattern) => pattern.startsWith('='));
  return [...(match === undefined ? [id] : []), ...whole.map((pattern) => pattern.slice(1))];
}

/** What the package itself comes to, USD. */
function packagePrice(provider: string, name: string, usage: Usage, nowMs: number): PriceCalculationResult {
  const { parts } = usage;
  const counts: PackageUsage = {
    input_tokens: usage.promptTokens,
    output_tokens: usage.completionTokens,
    cache_read_tokens: usage.cachedTokens ?? 0,
    cache_write_tokens: parts?.cacheWriteTokens ?? 0,
    output_reasoning_tokens: usage.reasoningTokens,
  };
  return calcPrice(counts, name, { providerId: provider, timestamp: new Date(nowMs) });
}

const LEAST_DIFFERENCE_NANO = 2;

function expectSamePrice(provider: string, name: string, usage: Usage, nowMs: number): void {
  const theirs = packagePrice(provider, name, usage, nowMs);
  const tariff = ownCatalogue().tariffOf(provider, name);
  const price = tariff === null ? null : priceAt(tariff, nowMs);
  const what = `${provider} ${name} at ${new Date(nowMs).toISOString()}, ${JSON.stringify(usage)}`;
  if (theirs === null || price === null) throw new Error(`no price of ${what}`);
  const nanoUsd = costOf(usage, price).nanoUsd ?? Number.NaN;
  const wanted = theirs.total_price * 1e9;
  const difference = Math.abs(nanoUsd - wanted);
  if (!(difference <= LEAST_DIFFERENCE_NANO + wanted * 1e-8)) {
    throw new Error(`${what}: ${nanoUsd} in place of ${wanted}`);
  }
}

describe('against the package that the prices come from', () => {
  const tokens: Usage = {
    promptTokens: 10_000,
    completionTokens: 0,
    cachedTokens: null,
    reasoningTokens: 0,
    costNanoUsd: null,
  };

  test('every model by every whole name costs the same, for short and long prompts', () => {
    for (const { provider, model } of MODELS) {
      const hasOutput = model.prices.every(({ output }) => output !== undefined);
      const completionTokens = hasOutput ? 777 : 0;
      for (const name of namesOf(model)) {
        for (const promptTokens of [10_000, 10_000_000]) {
          expectSamePrice(provider, name, { ...tokens, promptTokens, completionTokens }, ON_THE_DAY);
        }
      }
    }
  });

  test('cached, written and reasoning tokens, at the borders of tiers and at any time, cost the same', () => {
    const special = MODELS.filter(({ model }) => namesOf(model).length > 0).filter(({ model: { prices } }) =>
      prices.some(
        ({ tiers, cachedInput, cacheWrite, from, hours }) => tiers ?? cachedInput ?? cacheWrite ?? from ?? hours,
      ),
    );
    const parts = { audioInputTokens: 0, imageInputTokens: 0, audioOutputTokens: 0, imageOutputTokens: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom(...special),
        fc.constantFrom(128_000, 200_000, 200_001, 256_000, 271_999, 272_000, 1_000_000),
        fc.nat(60_000),
        fc.nat(60_000),
        fc.nat(1_000),
        fc.nat(1_000),
        fc.nat(3 * 365 * 24 * 60),
        ({ provider, model }, promptTokens, cachedTokens, cacheWriteTokens, plainTokens, reasoningTokens, minutes) => {
          const usage: Usage = {
            promptTokens,
            completionTokens: plainTokens + reasoningTokens,
            cachedTokens,
            reasoningTokens,
            costNanoUsd: null,
            parts: { ...parts, cacheWriteTokens },
          };
          expectSamePrice(provider, namesOf(model)[0] ?? '', usage, ON_THE_DAY + minutes * 60_000);
        },
      ),
      { numRuns: 1_500 },
    );
  });
});

describe('names', () => {
  const catalogue = ownCatalogue();

  test('are compared without case, with dates and versions as the provider writes them', () => {
    const dated = catalogue.tariffOf('openai', 'gpt-4o-2024-08-06');
    expect(dated).not.toBeNull();
    expect(catalogue.tariffOf('openai', ' GPT-4o ')).toEqual(dated as never);
    expect(catalogue.tariffOf('openai', 'gpt-4o-of-our-own')).toBeNull();
    expect(catalogue.tariffOf('nobody', 'gpt-4o')).toBeNull();
  });

  test("Azure sells other makers' models at their price", () => {
    expect(catalogue.tariffOf('azure', 'grok-4.3')).toEqual(catalogue.tariffOf('x-ai', 'grok-4.3') as never);
    expect(catalogue.tariffOf('azure', 'grok-4.3')).not.toBeNull();
  });

  test('an address says who sells, and only at its beginning', () => {
    expect(catalogue.providerAt('https://api.openai.com/v1')).toBe('openai');
    expect(catalogue.providerAt('https://api.groq.com/openai/v1')).toBe('groq');
    expect(catalogue.providerAt('https://we.openai.azure.com')).toBe('azure');
    expect(catalogue.providerAt('http://10.0.0.7:4000/https://api.openai.com')).toBeNull();
  });

  test('of files on a disk lead to the model', () => {
    for (const name of [
      'Qwen/Qwen3-8B',
      'qwen3-8b',
      'qwen3:8b',
      'qwen3-8b@q4_k_m',
      'lmstudio-community/qwen3-8b-gguf',
      'qwen3-8b-mlx',
      'qwen3-8b-4bit',
      'qwen3-8b-Q4_K_M',
      'qwen3:8b-q4_k_m',
    ]) {
      expect(plainName(name)).toBe('qwen3-8b');
    }
    expect(plainName('llama3:latest')).toBe('llama3');
    expect(catalogue.tariffsOfSameName('qwen3:8b').length).toBeGreaterThan(0);
    expect(catalogue.tariffsOfSameName('house-model')).toEqual([]);
  });
});
