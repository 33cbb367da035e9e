import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import {
  costOf,
  estimateNanoUsd,
  fullRates,
  type Price,
  publishedPrices,
  savedNanoUsd,
  TOKEN_CLASSES,
  type TokenRates,
  tokenPrice,
  withPicturesOf,
} from './price.ts';
import type { TokenParts, Usage } from './usage.ts';

/** 10⁻¹⁵ USD in a nano-USD. */
const FEMTO = 1_000_000;
const USD_PER_MTOK = 1_000_000_000;

const usageOf = (promptTokens: number, completionTokens: number, more: Partial<Usage> = {}): Usage => ({
  promptTokens,
  completionTokens,
  cachedTokens: null,
  reasoningTokens: 0,
  costNanoUsd: null,
  ...more,
});

const NO_PARTS: TokenParts = {
  cacheWriteTokens: 0,
  audioInputTokens: 0,
  imageInputTokens: 0,
  audioOutputTokens: 0,
  imageOutputTokens: 0,
};

const MINI = tokenPrice('catalogue', {
  input: 0.15 * USD_PER_MTOK,
  cachedInput: 0.075 * USD_PER_MTOK,
  output: 0.6 * USD_PER_MTOK,
});

describe('what a call costs', () => {
  test('each class at its rate, added up and rounded once', () => {
    expect(costOf(usageOf(1000, 100), MINI)).toEqual({ nanoUsd: 210_000, source: 'catalogue', flaw: null });
    expect(costOf(usageOf(1000, 100, { cachedTokens: 800 }), MINI).nanoUsd).toBe(150_000);
    const omni = tokenPrice('override', {
      input: 2 * USD_PER_MTOK,
      cacheWrite: 3 * USD_PER_MTOK,
      audioInput: 40 * USD_PER_MTOK,
      imageInput: 5 * USD_PER_MTOK,
      output: 10 * USD_PER_MTOK,
      reasoning: 12 * USD_PER_MTOK,
      audioOutput: 80 * USD_PER_MTOK,
      imageOutput: 30 * USD_PER_MTOK,
    });
    const usage = usageOf(100, 100, {
      cachedTokens: 10,
      reasoningTokens: 20,
      parts: {
        cacheWriteTokens: 5,
        audioInputTokens: 30,
        imageInputTokens: 15,
        audioOutputTokens: 25,
        imageOutputTokens: 35,
      },
    });
    const inNano = 50 * 2_000 + 5 * 3_000 + 30 * 40_000 + 15 * 5_000;
    const outNano = 20 * 10_000 + 20 * 12_000 + 25 * 80_000 + 35 * 30_000;
    expect(costOf(usage, omni).nanoUsd).toBe(inNano + outNano);
  });

  test('half a nano-USD is rounded up, once for the whole call and not for each class', () => {
    const thin = tokenPrice('listed', { input: 0.4 * FEMTO, output: 0.4 * FEMTO });
    expect(costOf(usageOf(1, 0), thin).nanoUsd).toBe(0);
    expect(costOf(usageOf(1, 1), thin).nanoUsd).toBe(1);
    expect(costOf(usageOf(1, 0), tokenPrice('listed', { input: 0.5 * FEMTO, output: 0 })).nanoUsd).toBe(1);
  });

  test('a long prompt puts all tokens, the answer included, into its tier; the border itself does not', () => {
    const tiered: Price = {
      ...tokenPrice('catalogue', { input: 3 * USD_PER_MTOK, output: 15 * USD_PER_MTOK }),
      tiers: [
        { aboveTokens: 200_000, rates: fullRates({ input: 6 * USD_PER_MTOK, output: 22.5 * USD_PER_MTOK }) },
        { aboveTokens: 500_000, rates: fullRates({ input: 9 * USD_PER_MTOK, output: 30 * USD_PER_MTOK }) },
      ],
    };
    expect(costOf(usageOf(200_000, 10), tiered).nanoUsd).toBe(200_000 * 3_000 + 10 * 15_000);
    expect(costOf(usageOf(200_001, 10), tiered).nanoUsd).toBe(200_001 * 6_000 + 10 * 22_500);
    expect(costOf(usageOf(500_001, 10), tiered).nanoUsd).toBe(500_001 * 9_000 + 10 * 30_000);
  });

  test('what the provider says it charged wins, also where it is nothing or no price is known', () => {
    const said = usageOf(1000, 100, { costNanoUsd: 77 });
    expect(costOf(said, MINI)).toEqual({ nanoUsd: 77, source: 'provider', flaw: null });
    expect(costOf(said, null)).toEqual({ nanoUsd: 77, source: 'provider', flaw: null });
    expect(costOf({ ...said, costNanoUsd: 0 }, MINI)).toEqual({ nanoUsd: 0, source: 'provider', flaw: null });
  });

  test('without any price it is unknown, not free', () => {
    expect(costOf(usageOf(1000, 100), null)).toEqual({ nanoUsd: null, source: 'unknown', flaw: null });
    expect(estimateNanoUsd(1000, 100, null)).toBeNull();
    expect(savedNanoUsd(usageOf(1000, 100), null, 0)).toBeNull();
    expect(savedNanoUsd(usageOf(1000, 100), MINI, null)).toBeNull();
  });

  test('a fee for each call and electricity for as long as it runs come on top', () => {
    // 300 W at 0.30 USD a kWh are 25 nano-USD a millisecond.
    const own: Price = {
      ...tokenPrice('local-rate', { input: 0, output: 0 }),
      callNanoUsd: 500,
      msFemtoUsd: 25 * FEMTO,
    };
    expect(costOf(usageOf(1000, 100), own, 2_000).nanoUsd).toBe(50_500);
    expect(costOf(usageOf(1000, 100), own, Number.NaN).nanoUsd).toBe(500);
  });

  test('each picture has its price set aside, and a price that somebody set has that of the provider’s list', () => {
    const seer: Price = { ...MINI, callNanoUsd: 500, pictureNanoUsd: 4_000_000 };
    const words = estimateNanoUsd(1000, 100, { ...MINI, callNanoUsd: 500 }) ?? 0;
    expect(estimateNanoUsd(1000, 100, seer)).toBe(words);
    expect(estimateNanoUsd(1000, 100, seer, { pictures: 3 })).toBe(words + 12_000_000);
    expect(estimateNanoUsd(1000, 100, MINI, { pictures: 3 })).toBe(estimateNanoUsd(1000, 100, MINI) ?? 0);
    expect(publishedPrices(seer)).toEqual({ prompt: 0.15, completion: 0.6, request: 0.000_000_5, image: 0.004 });
    expect(publishedPrices(MINI)).toMatchObject({ request: 0, image: 0 });
    expect(withPicturesOf(MINI, seer)).toEqual({ ...MINI, pictureNanoUsd: 4_000_000 });
    expect(withPicturesOf(MINI, null)).toBe(MINI);
  });

  test('a local answer saves what a cloud would have charged above it, never less than nothing', () => {
    expect(savedNanoUsd(usageOf(1000, 100), MINI, 0)).toBe(210_000);
    expect(savedNanoUsd(usageOf(1000, 100), MINI, 10_000)).toBe(200_000);
    expect(savedNanoUsd(usageOf(1000, 100), MINI, 900_000)).toBe(0);
    expect(savedNanoUsd(usageOf(1000, 100, { costNanoUsd: 5 }), MINI, 0)).toBe(210_000);
  });
});

describe('counts that make no sense', () => {
  test('are said, and the total stands', () => {
    expect(costOf(usageOf(100, 10, { cachedTokens: 300 }), MINI)).toMatchObject({ nanoUsd: 13_500, flaw: 'input' });
    expect(costOf(usageOf(100, 10, { reasoningTokens: 11 }), MINI)).toMatchObject({ nanoUsd: 21_000, flaw: 'output' });
    expect(costOf(usageOf(Number.NaN, 10), MINI)).toMatchObject({ nanoUsd: 6_000, flaw: 'count' });
    expect(costOf(usageOf(100, -10), MINI)).toMatchObject({ nanoUsd: 15_000, flaw: 'count' });
    expect(costOf(usageOf(100, 1.5), MINI)).toMatchObject({ nanoUsd: 15_000, flaw: 'count' });
    expect(costOf(usageOf(100, 10, { costNanoUsd: -4 }), MINI)).toMatchObject({ nanoUsd: 21_000, flaw: 'count' });
    expect(costOf(usageOf(100, 10, { costNanoUsd: Number.NaN }), MINI)).toMatchObject({
      nanoUsd: 21_000,
      flaw: 'count',
    });
    const overlap = { parts: { ...NO_PARTS, audioInputTokens: 80 }, cachedTokens: 50 };
    expect(costOf(usageOf(100, 10, overlap), MINI)).toMatchObject({ flaw: 'input' });
    const most = Number.MAX_SAFE_INTEGER;
    expect(costOf(usageOf(1e12, 1e12), MINI)).toMatchObject({ nanoUsd: 750e12, flaw: null });
    expect(costOf(usageOf(most, most), tokenPrice('override', { input: most, output: most }))).toEqual({
      nanoUsd: most,
      source: 'override',
      flaw: 'size',
    });
  });

  test('never throw and never give anything but a whole number ≥ 0', () => {
    const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(0, -0, 1e300, 2 ** 53));
    const anyUsage = fc.record({
      promptTokens: anyNumber,
      completionTokens: anyNumber,
      cachedTokens: fc.option(anyNumber),
      reasoningTokens: anyNumber,
      costNanoUsd: fc.option(anyNumber),
      parts: fc.record({
        cacheWriteTokens: anyNumber,
        audioInputTokens: anyNumber,
        imageInputTokens: anyNumber,
        audioOutputTokens: anyNumber,
        imageOutputTokens: anyNumber,
      }),
    });
    fc.assert(
      fc.property(anyUsage, prices, anyNumber, (usage, price, runningMs) => {
        const { nanoUsd } = costOf(usage, price, runningMs);
        expect(Number.isSafeInteger(nanoUsd)).toBe(true);
        expect(nanoUsd).toBeGreaterThanOrEqual(0);
        const estimate = estimateNanoUsd(usage.promptTokens, usage.completionTokens, price);
        expect(Number.isSafeInteger(estimate)).toBe(true);
        expect(estimate).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

const rate = fc.oneof(fc.nat(1_000 * USD_PER_MTOK), fc.nat(2 * FEMTO));
const ratesArbitrary: fc.Arbitrary<TokenRates> = fc.record({
  input: rate,
  cachedInput: rate,
  cacheWrite: rate,
  audioInput: rate,
  imageInput: rate,
  output: rate,
  reasoning: rate,
  audioOutput: rate,
  imageOutput: rate,
});
const flatPrices: fc.Arbitrary<Price> = fc.record({
  rates: ratesArbitrary,
  tiers: fc.constant([]),
  callNanoUsd: fc.nat(1_000_000),
  msFemtoUsd: fc.nat(100 * FEMTO),
  source: fc.constantFrom('override', 'listed', 'catalogue', 'local-rate'),
});
/** Tiers in any order of prices: nothing forbids a discount. */
const prices: fc.Arbitrary<Price> = fc
  .tuple(
    flatPrices,
    fc.uniqueArray(fc.record({ aboveTokens: fc.nat(1_000_000), rates: ratesArbitrary }), {
      selector: ({ aboveTokens }) => aboveTokens,
      maxLength: 3,
    }),
  )
  .map(([price, tiers]) => ({ ...price, tiers: tiers.toSorted((a, b) => a.aboveTokens - b.aboveTokens) }));

/** Counts that make sense. */
const goodUsage: fc.Arbitrary<Usage> = fc.array(fc.nat(2_000_000), { minLength: 9, maxLength: 9 }).map((counts) => {
  const [input = 0, cachedTokens = 0, cacheWriteTokens = 0, audioInputTokens = 0, imageInputTokens = 0] = counts;
  const [output = 0, reasoningTokens = 0, audioOutputTokens = 0, imageOutputTokens = 0] = counts.slice(5);
  return {
    promptTokens: input + cachedTokens + cacheWriteTokens + audioInputTokens + imageInputTokens,
    completionTokens: output + reasoningTokens + audioOutputTokens + imageOutputTokens,
    cachedTokens,
    reasoningTokens,
    costNanoUsd: null,
    parts: { cacheWriteTokens, audioInputTokens, imageInputTokens, audioOutputTokens, imageOutputTokens },
  };
});

/** Femto-USD with integers of any size: what the sum is. */
function exactFemto(usage: Usage, rates: TokenRates): bigint {
  const { parts = NO_PARTS } = usage;
  const special = (usage.cachedTokens ?? 0) + parts.cacheWriteTokens + parts.audioInputTokens + parts.imageInputTokens;
  const specialOut = usage.reasoningTokens + parts.audioOutputTokens + parts.imageOutputTokens;
  const counts: TokenRates = {
    input: usage.promptTokens - special,
    cachedInput: usage.cachedTokens ?? 0,
    cacheWrite: parts.cacheWriteTokens,
    audioInput: parts.audioInputTokens,
    imageInput: parts.imageInputTokens,
    output: usage.completionTokens - specialOut,
    reasoning: usage.reasoningTokens,
    audioOutput: parts.audioOutputTokens,
    imageOutput: parts.imageOutputTokens,
  };
  return TOKEN_CLASSES.reduce((sum, name) => sum + BigInt(counts[name]) * BigInt(rates[name]), 0n);
}

describe('for all prices and counts', () => {
  test('the cost is the exact sum over the classes, rounded once, half up: no digit is lost', () => {
    fc.assert(
      fc.property(goodUsage, flatPrices, fc.nat(100_000_000), (usage, price, runningMs) => {
        const femto = exactFemto(usage, price.rates) + BigInt(runningMs) * BigInt(price.msFemtoUsd);
        const nano = (femto + BigInt(FEMTO / 2)) / BigInt(FEMTO) + BigInt(price.callNanoUsd);
        expect(costOf(usage, price, runningMs)).toEqual({ nanoUsd: Number(nano), source: price.source, flaw: null });
      }),
      { numRuns: 1_000 },
    );
  });

  test('each class adds what it costs alone', () => {
    const wholeNano = ratesArbitrary.map(
      (rates) => Object.fromEntries(TOKEN_CLASSES.map((name) => [name, (rates[name] % 1_000_000) * FEMTO])) as never,
    );
    fc.assert(
      fc.property(goodUsage, wholeNano, (usage, rates: TokenRates) => {
        const { parts = NO_PARTS } = usage;
        const alone = (count: number, side: 'in' | 'out', more: (count: number) => Partial<Usage>): number =>
          costOf(usageOf(side === 'in' ? count : 0, side === 'out' ? count : 0, more(count)), { ...MINI, rates })
            .nanoUsd ?? Number.NaN;
        const partIn = (name: keyof TokenParts): number =>
          alone(parts[name], 'in', (count) => ({ parts: { ...NO_PARTS, [name]: count } }));
        const partOut = (name: keyof TokenParts): number =>
          alone(parts[name], 'out', (count) => ({ parts: { ...NO_PARTS, [name]: count } }));
        const cached = usage.cachedTokens ?? 0;
        const plainIn =
          usage.promptTokens - cached - parts.cacheWriteTokens - parts.audioInputTokens - parts.imageInputTokens;
        const plainOut =
          usage.completionTokens - usage.reasoningTokens - parts.audioOutputTokens - parts.imageOutputTokens;
        const sum =
          alone(plainIn, 'in', () => ({})) +
          alone(cached, 'in', (count) => ({ cachedTokens: count })) +
          alone(plainOut, 'out', () => ({})) +
          alone(usage.reasoningTokens, 'out', (count) => ({ reasoningTokens: count })) +
          partIn('cacheWriteTokens') +
          partIn('audioInputTokens') +
          partIn('imageInputTokens') +
          partOut('audioOutputTokens') +
          partOut('imageOutputTokens');
        expect(costOf(usage, { ...MINI, rates }).nanoUsd).toBe(sum);
      }),
    );
  });

  test('more tokens never cost less, where longer prompts have no discount', () => {
    fc.assert(
      fc.property(goodUsage, flatPrices, fc.nat(1_000_000), fc.nat(1_000_000), (usage, price, input, output) => {
        const dearer = (rates: TokenRates): TokenRates =>
          Object.fromEntries(TOKEN_CLASSES.map((name) => [name, rates[name] * 2])) as unknown as TokenRates;
        const rising = { ...price, tiers: [{ aboveTokens: 3_000_000, rates: dearer(price.rates) }] };
        const more = {
          ...usage,
          promptTokens: usage.promptTokens + input,
          completionTokens: usage.completionTokens + output,
        };
        expect(costOf(more, rising).nanoUsd).toBeGreaterThanOrEqual(costOf(usage, rising).nanoUsd ?? Number.NaN);
      }),
    );
  });

  test('an estimate is never below what the call comes to, whatever its tokens turn out to be', () => {
    fc.assert(
      fc.property(
        goodUsage,
        prices,
        fc.nat(1_000_000),
        fc.nat(1_000_000),
        fc.nat(600_000),
        (usage, price, less, fewer, ms) => {
          const estimate = estimateNanoUsd(usage.promptTokens + less, usage.completionTokens + fewer, price, {
            runningMs: ms,
          });
          expect(estimate).toBeGreaterThanOrEqual(costOf(usage, price, ms).nanoUsd ?? Number.NaN);
          const { parts: _, ...text } = usage;
          const textEstimate = estimateNanoUsd(usage.promptTokens, usage.completionTokens, price, { textOnly: true });
          expect(textEstimate).toBeGreaterThanOrEqual(costOf(text, price).nanoUsd ?? Number.NaN);
          expect(textEstimate).toBeLessThanOrEqual(
            estimateNanoUsd(usage.promptTokens, usage.completionTokens, price) ?? Number.NaN,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});
