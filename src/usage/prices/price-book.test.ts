import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { costOf, type Price, tokenPrice } from '../../core/price.ts';
import type { LocalRate, PriceOverride } from '../../core/price-override.ts';
import type { PriceQuestion } from '../../core/prices.ts';
import type { Target } from '../../core/target.ts';
import type { Usage } from '../../core/usage.ts';
import { Catalogue } from './catalogue.ts';
import type { CatalogueFile } from './catalogue-format.ts';
import { PriceBook } from './price-book.ts';
import { priceAt, type Tariff } from './tariff.ts';

type PricedTarget = PriceQuestion['target'];

const USD = 1_000_000_000;
const NOW = Date.parse('2026-11-23T12:00:00Z');

const targetOf = (more: Partial<Target> = {}): PricedTarget => ({
  id: 'openai-1',
  provider: 'house',
  adapterKind: 'openai-compatible',
  place: 'cloud',
  baseUrl: 'https://api.openai.com/v1',
  deployments: new Map(),
  ...more,
});

const local = targetOf({
  id: 'mac',
  provider: 'lmstudio',
  adapterKind: 'lm-studio',
  place: 'local',
  baseUrl: 'http://10.0.0.7:1234',
});

const ask = (book: PriceBook, target: PricedTarget, model: string, more: Partial<PriceQuestion> = {}): Price | null =>
  book.priceOf({ target, model, listed: null, answeredBy: '', nowMs: NOW, ...more });

const override = (model: string, usd: number, provider: string | null = null): PriceOverride => ({
  model,
  provider,
  price: tokenPrice('override', { input: usd * USD, output: usd * USD }),
});

const rate = (usd: number, provider: string | null = null): LocalRate => ({
  provider,
  price: tokenPrice('local-rate', { input: usd * USD, output: usd * USD }),
});

const LISTED = tokenPrice('listed', { input: 7 * USD, output: 7 * USD });
const inputUsd = (price: Price | null): number | null => (price === null ? null : price.rates.input / USD);

describe('which price wins', () => {
  test("an override, then the provider's list, then the catalogue; a stranger's price is unknown", () => {
    const cloud = targetOf();
    const book = new PriceBook({ overrides: [override('gpt-4o', 1)] });
    expect(ask(book, cloud, 'gpt-4o', { listed: LISTED })).toMatchObject({ source: 'override' });
    expect(ask(book, cloud, 'gpt-4o-mini', { listed: LISTED })).toBe(LISTED);
    expect(ask(book, cloud, 'gpt-4o-mini')).toMatchObject({ source: 'catalogue', rates: { input: 0.15 * USD } });
    expect(ask(book, cloud, 'house-model')).toBeNull();
    expect(ask(book, targetOf({ baseUrl: 'https://llm.example.com/v1' }), 'gpt-4o-mini')).toBeNull();
  });

  test('an override of the target before one of its provider before one of the model anywhere', () => {
    const overrides = [override('M', 3), override('m', 2, 'HOUSE'), override('m', 1, 'openai-1')];
    expect(inputUsd(ask(new PriceBook({ overrides }), targetOf(), 'm'))).toBe(1);
    expect(inputUsd(ask(new PriceBook({ overrides }), targetOf({ id: 'other' }), 'm'))).toBe(2);
    expect(inputUsd(ask(new PriceBook({ overrides }), targetOf({ id: 'other', provider: 'x' }), 'm'))).toBe(3);
    expect(
      inputUsd(ask(new PriceBook({ overrides: [...overrides, override('m', 9, 'openai-1')] }), targetOf(), 'm')),
    ).toBe(9);
  });

  test('whatever was set over the API before whatever the file says, however closely it fits', () => {
    const configured = [override('m', 1, 'openai-1'), override('other', 2)];
    const book = new PriceBook({ overrides: [override('M', 3)], configured });
    expect(inputUsd(ask(book, targetOf(), 'm'))).toBe(3);
    expect(inputUsd(ask(book, targetOf(), 'other'))).toBe(2);
    const found = (model: string) =>
      book.find({ target: targetOf(), model, listed: LISTED, answeredBy: '', nowMs: NOW }).set;
    expect([found('m')?.setBy, found('other')?.setBy, found('gpt-4o')]).toEqual(['api', 'yaml', null]);
  });

  test('local answers cost the rate of their server, free where nobody said, and never what a cloud asks', () => {
    const book = new PriceBook({ localRates: [rate(1), rate(2, 'lmstudio'), rate(3, 'mac')] });
    expect(inputUsd(ask(book, local, 'gpt-4o'))).toBe(3);
    expect(inputUsd(ask(book, { ...local, id: 'other' }, 'gpt-4o'))).toBe(2);
    expect(inputUsd(ask(book, { ...local, id: 'other', provider: 'ollama' }, 'gpt-4o'))).toBe(1);
    expect(ask(new PriceBook(), local, 'gpt-4o')).toMatchObject({
      source: 'local-rate',
      rates: { input: 0, output: 0 },
    });
    expect(ask(new PriceBook({ overrides: [override('gpt-4o', 5)] }), local, 'gpt-4o')).toMatchObject({
      source: 'override',
    });
  });

  test("Azure's deployments are priced by the name that clients ask for, else by the model that answered", () => {
    const azure = targetOf({
      adapterKind: 'azure-openai',
      baseUrl: 'https://we.openai.azure.com',
      deployments: new Map([['gpt-4o-mini', 'prod-chat']]),
    });
    const book = new PriceBook({ overrides: [override('tuned', 4)] });
    expect(inputUsd(ask(book, azure, 'prod-chat'))).toBe(0.15);
    expect(ask(book, azure, 'prod-other')).toBeNull();
    expect(inputUsd(ask(book, azure, 'prod-other', { answeredBy: 'gpt-4o-2024-08-06' }))).toBe(2.5);
    expect(inputUsd(ask(book, azure, 'prod-other', { answeredBy: 'tuned' }))).toBe(4);
  });

  test('OpenRouter is known by its kind, wherever its address points', () => {
    const router = targetOf({ adapterKind: 'openrouter', baseUrl: 'http://127.0.0.1:9/api/v1' });
    expect(ask(new PriceBook(), router, 'openai/gpt-4o-mini')).toMatchObject({ source: 'catalogue' });
  });
});

const FILE: CatalogueFile = {
  source: 'test',
  date: '2026-01-01',
  unit: '',
  providers: [
    {
      id: 'night',
      api: 'https://night\\.example',
      models: [
        {
          id: 'owl-8b',
          prices: [{ input: 10 }, { hours: ['22:00', '06:00'], input: 5 }, { from: '2027-01-01', input: 20 }],
        },
        { id: 'later', prices: [{ from: '2027-01-01', input: 20 }] },
      ],
    },
    {
      id: 'day',
      api: 'https://day\\.example',
      models: [
        { id: 'maker/Owl-8B', prices: [{ input: 8 }] },
        { id: 'maker/owl-8b:free', prices: [{ input: 0 }] },
        { id: 'free-owl', prices: [{ input: 0 }] },
        { id: 'gpt-9', match: ['^gpt-9'], prices: [{ input: 90 }] },
      ],
    },
  ],
};

describe('prices in time', () => {
  const book = new PriceBook({ catalogue: new Catalogue(FILE) });
  const night = targetOf({ baseUrl: 'https://night.example/v1' });
  const at = (time: string, model = 'owl-8b'): number | undefined =>
    ask(book, night, model, { nowMs: Date.parse(time) })?.rates.input;

  test('change on their day and with the hour, over midnight too, without asking anybody again', () => {
    expect(at('2026-11-23T12:00:00Z')).toBe(10);
    expect(at('2026-11-23T21:59:59Z')).toBe(10);
    expect(at('2026-11-23T22:00:00Z')).toBe(5);
    expect(at('2026-11-24T05:59:59Z')).toBe(5);
    expect(at('2026-11-24T06:00:00Z')).toBe(10);
    expect(at('2026-12-31T23:59:59Z')).toBe(5);
    expect(at('2027-01-01T00:00:00Z')).toBe(20);
    expect(at('2026-12-31T23:59:59Z', 'later')).toBeUndefined();
    expect(at('2027-01-01T00:00:00Z', 'later')).toBe(20);
  });

  test('the last period in force counts, at any moment', () => {
    const period = fc.record({
      fromMs: fc.option(fc.nat(3 * 86_400_000)),
      minutes: fc.option(fc.tuple(fc.nat(1_439), fc.nat(1_439))),
      price: fc.nat(1_000).map((input) => tokenPrice('catalogue', { input, output: 0 })),
    });
    fc.assert(
      fc.property(fc.array(period, { maxLength: 4 }), fc.nat(3 * 86_400_000), (tariff: Tariff, nowMs) => {
        const minuteOfDay = Math.floor(nowMs / 60_000) % 1_440;
        const inForce = tariff.filter(({ fromMs, minutes }) => {
          if (nowMs < (fromMs ?? 0)) return false;
          if (minutes === null) return true;
          const [start, end] = minutes;
          return start <= end
            ? start <= minuteOfDay && minuteOfDay < end
            : !(end <= minuteOfDay && minuteOfDay < start);
        });
        expect(priceAt(tariff, nowMs)).toBe(inForce.at(-1)?.price ?? null);
      }),
    );
  });
});

/** As LM Studio, Ollama, llama.cpp and vLLM call them; the catalogue has each under a name that is spelt otherwise. */
const LOOSE = [
  ...['qwen2.5-7b-instruct', 'qwen2.5:7b', 'google/gemma-3-12b', 'gemma3:12b', 'gemma-3-12b-it-qat', 'phi4-mini'],
  ...['hf.co/bartowski/Qwen2.5-7B-Instruct-GGUF:Q4_K_M', 'meta-llama-3.1-8b-instruct', 'llama3.1:8b', 'phi4'],
];

/** Sold by one, the first for 1, the second for 2, and so on. */
const fileOf = (ids: readonly string[]): CatalogueFile => ({
  ...{ source: 'a test', date: '2026-01-01', unit: '' },
  providers: [
    {
      ...{ id: 'shop', api: 'https://shop\\.example' },
      models: ids.map((id, at) => ({ id, prices: [{ input: at + 1, output: at + 1 }] })),
    },
  ],
});
const inputFemto = (book: PriceBook, name: string) => book.cloudPriceOf(name, NOW)?.rates.input;

describe('what a cloud would have asked', () => {
  const catalogue = new Catalogue(FILE);
  const noon = Date.parse('2026-11-23T12:00:00Z');

  test('is the lowest price of those that sell a model of the same name, free offers aside', () => {
    const book = new PriceBook({ catalogue });
    expect(book.cloudPriceOf('owl-8b', noon)?.rates.input).toBe(8);
    expect(book.cloudPriceOf('maker/Owl-8B@q4_k_m', noon)?.rates.input).toBe(8);
    expect(book.cloudPriceOf('owl:8b', Date.parse('2026-11-23T23:00:00Z'))?.rates.input).toBe(5);
    expect(book.cloudPriceOf('free-owl', noon)).toBeNull();
    expect(book.cloudPriceOf('my-own-tune', noon)).toBeNull();
  });

  test('is that of a model that was named for it, and one may be named for all others', () => {
    const cloudTwins = new Map([
      ['My-Own-Tune', 'night/owl-8b'],
      ['*', 'day/gpt-9-latest'],
    ]);
    const book = new PriceBook({ catalogue, cloudTwins });
    expect(book.cloudPriceOf('my-own-tune', noon)?.rates.input).toBe(10);
    expect(book.cloudPriceOf('owl-8b', noon)?.rates.input).toBe(8);
    expect(book.cloudPriceOf('something-else', noon)?.rates.input).toBe(90);
  });

  test('is found for models that people really run', () => {
    const book = new PriceBook();
    for (const name of ['openai/gpt-oss-20b', 'gpt-oss:20b', 'qwen/qwen3-8b', 'llama-3.1-8b-instruct', ...LOOSE]) {
      expect([name, book.cloudPriceOf(name, NOW)]).toEqual([name, expect.objectContaining({ source: 'catalogue' })]);
    }
  });

  test('is never that of another size, family or version', () => {
    const book = new PriceBook({ catalogue: new Catalogue(fileOf(['maker/gemma-3-12b-it', 'deepseek-chat'])) });
    expect(book.cloudPriceOf('gemma3:12b', NOW)?.rates.input).toBe(1);
    const others = [
      'gemma-3-27b-it',
      'gemma-31-2b',
      'gemma-312b',
      'gemma-3n-12b',
      'gemma-12b',
      'gemma-3.12b',
      'gemma-3',
    ];
    for (const name of [...others, 'gemma', 'medgemma-3-12b-it', 'gemma-3-12b-pt', 'deepseek', 'deepseek-it']) {
      expect([name, book.cloudPriceOf(name, NOW)]).toEqual([name, null]);
    }
  });

  test('is that of the one model whose letters and digits it has, however they are put together', () => {
    const family = fc.constantFrom('owl', 'gnu', 'big-owl', 'owl-coder');
    const model = fc.record({
      family,
      version: fc.constantFrom('1', '2.5', '3'),
      size: fc.constantFrom('1', '12', '72'),
    });
    const spelling = fc.record({
      maker: fc.constantFrom('', 'maker/', 'hf.co/some/', 'google.'),
      joint: fc.constantFrom('', '-', '_', ' '),
      end: fc.constantFrom('', '-it', '-instruct', '-chat', '-Instruct-GGUF:Q4_K_M', '@q8_0', ':latest'),
      loud: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(model, { selector: (one) => JSON.stringify(one), minLength: 1 }),
        model,
        spelling,
        (sold, asked, spelt) => {
          const { maker, joint, end, loud } = spelt;
          const book = new PriceBook({
            catalogue: new Catalogue(
              fileOf(sold.map((one) => `maker/${one.family}-${one.version}-${one.size}b-instruct`)),
            ),
          });
          const written = `${maker}${asked.family}${joint}${asked.version}-${asked.size}b${end}`;
          const found = book.cloudPriceOf(loud ? written.toUpperCase().replace('HF.CO', 'hf.co') : written, NOW);
          const place = sold.findIndex((one) => JSON.stringify(one) === JSON.stringify(asked));
          expect(found?.rates.input ?? null).toBe(place < 0 ? null : place + 1);
        },
      ),
    );
  });

  test('stays what it is for a name that is sold as it stands, whatever else has nearly its name', () => {
    const catalogue = new Catalogue(fileOf(['owl-3-8b', 'owl3-8b', 'owl3-8b-it', 'maker/owl-3-8b-chat']));
    const book = new PriceBook({ catalogue });
    const found = ['owl-3-8b', 'owl3:8b', 'OWL3-8b-it', 'owl-3-8b-chat'].map((name) => inputFemto(book, name));
    expect(found).toEqual([1, 2, 3, 4]);
    // None of them is sold as it stands: the cheapest.
    expect(inputFemto(book, 'owl-3-8b-instruct')).toBe(1);
  });
});

describe('a price book', () => {
  test('answers the same however often and in whatever order it is asked, names that clients invent included', () => {
    const usage: Usage = {
      promptTokens: 1_000,
      completionTokens: 1_000,
      cachedTokens: null,
      reasoningTokens: 0,
      costNanoUsd: null,
    };
    const target = targetOf();
    const known = new PriceBook({ overrides: [override('x', 1)] });
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constantFrom('gpt-4o', 'x', '__proto__', 'constructor', ''), fc.string())),
        (names) => {
          for (const name of names) {
            const fresh = new PriceBook({ overrides: [override('x', 1)] });
            expect(costOf(usage, ask(known, target, name))).toEqual(costOf(usage, ask(fresh, target, name)));
            expect(known.cloudPriceOf(name, NOW)).toEqual(fresh.cloudPriceOf(name, NOW) as never);
          }
        },
      ),
      { numRuns: 30 },
    );
    for (let count = 0; count < 20_500; count++) ask(known, target, `invented-${count}`);
    expect(ask(known, target, 'x')).toMatchObject({ source: 'override' });
  });
});
