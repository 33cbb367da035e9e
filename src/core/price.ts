import type { Usage } from './usage.ts';

/**
 * What a token of each class costs, in femto-USD (10⁻¹⁵ USD): the same number as nano-USD for a million tokens. Whole
 * numbers ≥ 0. Prices are published in USD for a million tokens, 0.0375 for example: in nano-USD a token that would be
 * 37.5 and had to be rounded, in this unit nine decimal places of the published number fit. Classes without a price of
 * their own cost what the class costs that they are a part of: whoever makes rates fills that in.
 */
export interface TokenRates {
  readonly input: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly audioInput: number;
  readonly imageInput: number;
  readonly output: number;
  readonly reasoning: number;
  readonly audioOutput: number;
  readonly imageOutput: number;
}

export const TOKEN_CLASSES = [
  'input',
  'cachedInput',
  'cacheWrite',
  'audioInput',
  'imageInput',
  'output',
  'reasoning',
  'audioOutput',
  'imageOutput',
] as const satisfies readonly (keyof TokenRates)[];

export type TokenClass = (typeof TOKEN_CLASSES)[number];

/** Long prompts cost more a token, the answer's tokens included. */
export interface RateTier {
  /** For prompts of more tokens than this. */
  readonly aboveTokens: number;
  readonly rates: TokenRates;
}

/**
 * Where a price comes from, what wins first. `override`: the operator's word · `listed`: the provider's model list ·
 * `catalogue`: shipped with the program · `local-rate`: what local answers cost, free where nobody said.
 */
export const PRICE_SOURCES = ['override', 'listed', 'catalogue', 'local-rate'] as const;
export type PriceSource = (typeof PRICE_SOURCES)[number];

/** What a model costs at a target. */
export interface Price {
  readonly rates: TokenRates;
  /** Rising by `aboveTokens`. */
  readonly tiers: readonly RateTier[];
  /** For each call, whatever its length, nano-USD. */
  readonly callNanoUsd: number;
  /** For each picture of a prompt, beside its tokens, nano-USD; absent: none is known. */
  readonly pictureNanoUsd?: number;
  /** While the call runs, femto-USD a millisecond: electricity. */
  readonly msFemtoUsd: number;
  readonly source: PriceSource;
}

/** `provider`: the bill of whoever answered · `unknown`: nobody knows a price. */
export type CostSource = PriceSource | 'provider' | 'unknown';

/**
 * What is wrong with a server's token counts: `count`: no whole number ≥ 0, taken as 0 · `input`: more cached, written,
 * audio and image tokens than prompt tokens · `output`: more reasoning, audio and image tokens than answer tokens ·
 * `size`: more than can be counted.
 */
export type UsageFlaw = 'count' | 'input' | 'output' | 'size';

export interface CallCost {
  /** Null: not known. */
  readonly nanoUsd: number | null;
  readonly source: CostSource;
  /** The first that was found; null: the counts make sense. */
  readonly flaw: UsageFlaw | null;
}

const FEMTO_PER_NANO = 1_000_000;
export const NANO_PER_USD = 1e9;
const HALF_NANO = FEMTO_PER_NANO / 2;

/**
 * What a call cost; never throws. The provider's own bill wins over any price. All classes are added up exactly and
 * rounded once, to the nearest nano-USD, half up. `runningMs`: how long the call ran, for prices with electricity.
 */
export function costOf(usage: Usage, price: Price | null, runningMs = 0): CallCost {
  const tokens = billableTokens(usage);
  const { costNanoUsd } = usage;
  if (isCount(costNanoUsd)) return { nanoUsd: costNanoUsd, source: 'provider', flaw: tokens.flaw };
  if (price === null) return { nanoUsd: null, source: 'unknown', flaw: tokens.flaw };
  const isBadBill = costNanoUsd !== null && costNanoUsd !== undefined;
  const nanoUsd = priced(tokens, price, countOr0(Math.round(runningMs)));
  const flaw = nanoUsd === null ? 'size' : (tokens.flaw ?? (isBadBill ? 'count' : null));
  return { nanoUsd: nanoUsd ?? Number.MAX_SAFE_INTEGER, source: price.source, flaw };
}

/**
 * The most that a call can cost, rounded up: what is set aside for it before it is made. Null: no price is known.
 * `textOnly`: the request holds no sound or picture and asks for none; else each token counts as the dearest class.
 * `pictures`: how many the prompt has.
 */
export function estimateNanoUsd(
  promptTokens: number,
  maxOutputTokens: number,
  price: Price | null,
  { textOnly = false, runningMs = 0, pictures = 0 }: { textOnly?: boolean; runningMs?: number; pictures?: number } = {},
): number | null {
  if (price === null) return null;
  const prompt = atMost(promptTokens);
  const output = atMost(maxOutputTokens);
  const ms = atMost(runningMs);
  // A prompt may turn out shorter than it was taken for, and a lower tier need not be the cheaper one.
  let most = mostOf(price, price.rates, prompt, output, ms, textOnly);
  for (const { aboveTokens, rates } of price.tiers) {
    if (prompt > aboveTokens) most = Math.max(most, mostOf(price, rates, prompt, output, ms, textOnly));
  }
  return Math.min(most + pictures * (price.pictureNanoUsd ?? 0), Number.MAX_SAFE_INTEGER);
}

function mostOf(
  { callNanoUsd, msFemtoUsd }: Price,
  rates: TokenRates,
  prompt: number,
  output: number,
  ms: number,
  textOnly: boolean,
): number {
  let input = Math.max(rates.input, rates.cachedInput, rates.cacheWrite);
  let answer = Math.max(rates.output, rates.reasoning);
  if (!textOnly) {
    input = Math.max(input, rates.audioInput, rates.imageInput);
    answer = Math.max(answer, rates.audioOutput, rates.imageOutput);
  }
  const sum = prompt * input + output * answer + ms * msFemtoUsd + FEMTO_PER_NANO - 1;
  if (Number.isSafeInteger(sum)) return Math.min(wholeNano(sum) + callNanoUsd, Number.MAX_SAFE_INTEGER);
  const exact = BigInt(prompt) * BigInt(input) + BigInt(output) * BigInt(answer) + BigInt(ms) * BigInt(msFemtoUsd);
  const nanoUsd = (exact + BigInt(FEMTO_PER_NANO - 1)) / BigInt(FEMTO_PER_NANO) + BigInt(callNanoUsd);
  return Math.min(Number(nanoUsd), Number.MAX_SAFE_INTEGER);
}

/** US dollars. */
export interface PublishedPrices {
  /** For a million tokens. */
  readonly prompt: number;
  readonly completion: number;
  /** For a call, whatever its length. */
  readonly request: number;
  /** For a picture of the prompt, beside its tokens. */
  readonly image: number;
}

/** As they are published, of ordinary text: the lowest tier. */
export function publishedPrices({ rates, callNanoUsd, pictureNanoUsd = 0 }: Price): PublishedPrices {
  return {
    prompt: rates.input / NANO_PER_USD,
    completion: rates.output / NANO_PER_USD,
    request: callNanoUsd / NANO_PER_USD,
    image: pictureNanoUsd / NANO_PER_USD,
  };
}

/** What nobody who sets a price can say, and the provider does: what a picture costs. */
export function withPicturesOf(price: Price, listed: Price | null): Price {
  const pictureNanoUsd = listed?.pictureNanoUsd;
  return pictureNanoUsd === undefined ? price : { ...price, pictureNanoUsd };
}

/** What a cloud would have charged above what the call cost, ≥ 0; null: one of the two is not known. */
export function savedNanoUsd(usage: Usage, cloudPrice: Price | null, costNanoUsd: number | null): number | null {
  if (cloudPrice === null || costNanoUsd === null) return null;
  const { nanoUsd } = costOf({ ...usage, costNanoUsd: null }, cloudPrice);
  return nanoUsd === null ? null : Math.max(0, nanoUsd - costNanoUsd);
}

/** Rates from what was published: every class that has none costs what the class costs that it is a part of. */
export function fullRates(given: Pick<TokenRates, 'input' | 'output'> & Partial<TokenRates>): TokenRates {
  const { input, output } = given;
  return {
    input,
    cachedInput: given.cachedInput ?? input,
    cacheWrite: given.cacheWrite ?? input,
    audioInput: given.audioInput ?? input,
    imageInput: given.imageInput ?? input,
    output,
    reasoning: given.reasoning ?? output,
    audioOutput: given.audioOutput ?? output,
    imageOutput: given.imageOutput ?? output,
  };
}

/** A price of tokens alone. */
export function tokenPrice(
  source: PriceSource,
  rates: Pick<TokenRates, 'input' | 'output'> & Partial<TokenRates>,
): Price {
  return { rates: fullRates(rates), tiers: [], callNanoUsd: 0, msFemtoUsd: 0, source };
}

/** Tokens of each class; no token is in two. */
interface BillableTokens extends Record<TokenClass, number> {
  /** What tiers go by. */
  readonly prompt: number;
  readonly flaw: UsageFlaw | null;
}

/**
 * Splits the counts into classes. Where servers count a token in two classes, or name more than there are, the total
 * stands and the special classes are filled first: they are the dearer ones, save for cached tokens, which come last.
 */
function billableTokens(usage: Usage): BillableTokens {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens, parts } = usage;
  const prompt = countOr0(promptTokens);
  const completion = countOr0(completionTokens);
  const imageInput = upTo(prompt, parts?.imageInputTokens);
  const audioInput = upTo(prompt - imageInput, parts?.audioInputTokens);
  const cacheWrite = upTo(prompt - imageInput - audioInput, parts?.cacheWriteTokens);
  const cachedInput = upTo(prompt - imageInput - audioInput - cacheWrite, cachedTokens);
  const imageOutput = upTo(completion, parts?.imageOutputTokens);
  const audioOutput = upTo(completion - imageOutput, parts?.audioOutputTokens);
  const reasoning = upTo(completion - imageOutput - audioOutput, reasoningTokens);
  return {
    prompt,
    input: prompt - imageInput - audioInput - cacheWrite - cachedInput,
    cachedInput,
    cacheWrite,
    audioInput,
    imageInput,
    output: completion - imageOutput - audioOutput - reasoning,
    reasoning,
    audioOutput,
    imageOutput,
    flaw: flawOf(usage, prompt, completion),
  };
}

function flawOf(usage: Usage, prompt: number, completion: number): UsageFlaw | null {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens, parts } = usage;
  if (!isCount(promptTokens) || !isCount(completionTokens) || !isCountOrNone(cachedTokens)) return 'count';
  if (!isCount(reasoningTokens)) return 'count';
  if (parts === undefined) {
    if ((cachedTokens ?? 0) > prompt) return 'input';
    return reasoningTokens > completion ? 'output' : null;
  }
  const { cacheWriteTokens, audioInputTokens, imageInputTokens, audioOutputTokens, imageOutputTokens } = parts;
  for (const count of [cacheWriteTokens, audioInputTokens, imageInputTokens, audioOutputTokens, imageOutputTokens]) {
    if (!isCount(count)) return 'count';
  }
  if ((cachedTokens ?? 0) + cacheWriteTokens + audioInputTokens + imageInputTokens > prompt) return 'input';
  return reasoningTokens + audioOutputTokens + imageOutputTokens > completion ? 'output' : null;
}

/** Nano-USD; null: more than a safe integer. */
function priced(tokens: BillableTokens, price: Price, runningMs: number): number | null {
  const rates = ratesFor(price, tokens.prompt);
  const { callNanoUsd, msFemtoUsd } = price;
  // While the sum is a safe integer, so was every term and every product: no digit was lost. Up to 9 USD a call.
  const sum =
    tokens.input * rates.input +
    tokens.cachedInput * rates.cachedInput +
    tokens.cacheWrite * rates.cacheWrite +
    tokens.audioInput * rates.audioInput +
    tokens.imageInput * rates.imageInput +
    tokens.output * rates.output +
    tokens.reasoning * rates.reasoning +
    tokens.audioOutput * rates.audioOutput +
    tokens.imageOutput * rates.imageOutput +
    runningMs * msFemtoUsd +
    HALF_NANO;
  if (Number.isSafeInteger(sum)) return safeOrNull(wholeNano(sum) + callNanoUsd);
  return pricedInBigInts(tokens, price, runningMs, rates);
}

function pricedInBigInts(
  tokens: BillableTokens,
  { callNanoUsd, msFemtoUsd }: Price,
  runningMs: number,
  rates: TokenRates,
): number | null {
  let sum = BigInt(runningMs) * BigInt(msFemtoUsd) + BigInt(HALF_NANO);
  for (const name of TOKEN_CLASSES) sum += BigInt(tokens[name]) * BigInt(rates[name]);
  return safeOrNull(Number(sum / BigInt(FEMTO_PER_NANO) + BigInt(callNanoUsd)));
}

/** The quotient of two doubles may round up to the next whole number; the remainder is exact. */
function wholeNano(femto: number): number {
  return (femto - (femto % FEMTO_PER_NANO)) / FEMTO_PER_NANO;
}

function ratesFor({ rates, tiers }: Price, promptTokens: number): TokenRates {
  let found = rates;
  for (const tier of tiers) if (promptTokens > tier.aboveTokens) found = tier.rates;
  return found;
}

function isCount(value: number | null | undefined): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCountOrNone(value: number | null): boolean {
  return value === null || isCount(value);
}

function countOr0(value: number | null | undefined): number {
  return isCount(value) ? value : 0;
}

function upTo(most: number, count: number | null | undefined): number {
  return Math.min(most, countOr0(count));
}

/** Of what must not be taken for less than it is. */
function atMost(count: number): number {
  if (count > 0) return Math.min(Math.ceil(count), Number.MAX_SAFE_INTEGER);
  return Number.isNaN(count) ? Number.MAX_SAFE_INTEGER : 0;
}

function safeOrNull(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}
