import type { JsonObject } from './json-shape.ts';
import { fullRates, type Price, TOKEN_CLASSES, type TokenRates } from './price.ts';
import { FieldReader, type PlaceOf, RATE_FIELDS, RATE_NAMES, readList } from './price-fields.ts';
import type { Problem, Reading } from './problem.ts';

/** A price that the operator set. */
export interface PriceOverride {
  /** A target's id or provider name; null: the model at every target, local ones too. */
  readonly provider: string | null;
  /** Compared without case. */
  readonly model: string;
  readonly price: Price;
}

/** What answers of local servers cost. */
export interface LocalRate {
  /** A target's id or provider name; null: every local target. */
  readonly provider: string | null;
  readonly price: Price;
}

/** Of one entry of `prices`. `model`, `input_usd_per_mtok` and `output_usd_per_mtok` are required. */
export const OVERRIDE_FIELDS = ['model', 'provider', ...RATE_NAMES, 'usd_per_request', 'tiers'] as const;

/** Of one entry of `local_rates`: rates for tokens, or `watts` with `usd_per_kwh`, or both. */
export const LOCAL_RATE_FIELDS = ['provider', ...RATE_NAMES, 'watts', 'usd_per_kwh'] as const;

/** Nano-USD and femto-USD in a USD, powers of ten. */
const NANO = 9;

/** Prices as a person wrote them, YAML or JSON already parsed: all of them, or everything that is wrong with any. */
export function readOverrides(list: unknown, placeOf: PlaceOf): Reading<readonly PriceOverride[]> {
  const seen = new Map<string, string>();
  return readList(list, placeOf, 'prices', (reader) => {
    const override = overrideOf(reader);
    const before = seen.get(overrideKey(override));
    if (before !== undefined) reader.report('model', `${before} is for the same model`, null, 'remove one of them');
    seen.set(overrideKey(override), reader.path);
    return override;
  });
}

/** One price, as it comes over the API. */
export function readOverride(fields: JsonObject, where: string): Reading<PriceOverride> {
  const problems: Problem[] = [];
  const value = overrideOf(new FieldReader(fields, where, '', problems));
  return problems.length === 0 ? { ok: true, value } : { ok: false, problems };
}

/** Two overrides of one key are for the same calls: of one model at one place, whatever the case. */
export function overrideKey({ provider, model }: Pick<PriceOverride, 'provider' | 'model'>): string {
  return `${provider === null ? '' : provider.trim().toLowerCase()}\n${model.trim().toLowerCase()}`;
}

function overrideOf(reader: FieldReader): PriceOverride {
  reader.onlyKnows(OVERRIDE_FIELDS);
  const provider = reader.name('provider');
  const model = reader.requiredName('model');
  const price: Price = {
    rates: reader.rates(),
    tiers: reader.tiers(),
    callNanoUsd: reader.usd('usd_per_request', NANO) ?? 0,
    msFemtoUsd: 0,
    source: 'override',
  };
  return { provider, model, price };
}

/** The override in the fields that `readOverride` reads: what is kept and shown. Amounts in USD. */
export function overrideFields({ provider, model, price }: PriceOverride): JsonObject {
  return { model, ...(provider !== null && { provider }), ...priceFields(price) };
}

/** Rates by the names that people write them by. */
export type RateFields = Readonly<Record<string, number>>;

export interface TierFields {
  readonly above_prompt_tokens: number;
  readonly [rate: string]: number;
}

/** A price in the words of those who set one; electricity, which nobody sets for a model, as `usd_per_hour`. In USD. */
export function priceFields({ rates, tiers, callNanoUsd, msFemtoUsd }: Price): {
  readonly [field: string]: number | TierFields[];
} {
  return {
    ...rateFields(rates),
    ...(callNanoUsd > 0 && { usd_per_request: callNanoUsd / 10 ** NANO }),
    ...(msFemtoUsd > 0 && { usd_per_hour: (msFemtoUsd * MS_AN_HOUR) / FEMTO_PER_USD }),
    ...(tiers.length > 0 && {
      tiers: tiers.map((tier) => ({ above_prompt_tokens: tier.aboveTokens, ...rateFields(tier.rates) })),
    }),
  };
}

/** Only those that cost something else than what they are a part of. */
function rateFields(rates: TokenRates): RateFields {
  const { input, output } = rates;
  const plain = fullRates({ input, output });
  const named = TOKEN_CLASSES.filter((name) => name === 'input' || name === 'output' || rates[name] !== plain[name]);
  return Object.fromEntries(named.map((name) => [RATE_FIELDS[name], rates[name] / 10 ** NANO]));
}

/** Rates as a person wrote them: all of them, or everything that is wrong with any. */
export function readLocalRates(list: unknown, placeOf: PlaceOf): Reading<readonly LocalRate[]> {
  const seen = new Map<string, string>();
  return readList(list, placeOf, 'local_rates', (reader) => {
    reader.onlyKnows(LOCAL_RATE_FIELDS);
    const rate = { provider: reader.name('provider'), price: localPrice(reader) };
    const owner = rate.provider?.toLowerCase() ?? '';
    const before = seen.get(owner);
    if (before !== undefined)
      reader.report('provider', `${before} is for the same servers`, null, 'remove one of them');
    seen.set(owner, reader.path);
    return rate;
  });
}

/** All that a server of the operator's own costs is its electricity; both numbers have been checked. */
export function powerRate(watts: number, usdPerKwh: number): LocalRate {
  const reader = new FieldReader({ watts, usd_per_kwh: usdPerKwh }, '', '', []);
  return { provider: null, price: localPrice(reader) };
}

function localPrice(reader: FieldReader): Price {
  const hasRates = RATE_NAMES.some((name) => reader.has(name));
  const hasPower = reader.has('watts') || reader.has('usd_per_kwh');
  if (!hasRates && !hasPower) {
    const fix = 'add input_usd_per_mtok and output_usd_per_mtok, or watts and usd_per_kwh';
    reader.report('input_usd_per_mtok', 'the entry says no price', null, fix, null);
  }
  return {
    rates: hasRates ? reader.rates() : fullRates({ input: 0, output: 0 }),
    tiers: [],
    callNanoUsd: 0,
    msFemtoUsd: hasPower ? electricity(reader) : 0,
    source: 'local-rate',
  };
}

/** Decimal places and the largest number. */
export const WATTS = { places: 3, most: 100_000 };
export const USD_A_KWH = { places: 6, most: 100 };

/** A watt for a kilowatt-hour is 3.6 × 10⁹ ms. */
const MS_A_KWH_OF_A_WATT = 3.6e9;
const FEMTO_PER_USD = 1e15;
const MS_AN_HOUR = 3.6e6;

/** Femto-USD a millisecond; rounded here, once: what a meter reads is less exact. */
function electricity(reader: FieldReader): number {
  for (const [field, other] of [
    ['watts', 'usd_per_kwh'],
    ['usd_per_kwh', 'watts'],
  ] as const) {
    if (!reader.has(field)) reader.report(field, `it is missing beside ${other}`, null, `add ${field}`, null);
  }
  const watts = reader.decimal('watts', { ...WATTS, allowed: 'watts from 0 to 100,000' });
  const price = reader.decimal('usd_per_kwh', { ...USD_A_KWH, allowed: 'US dollars from 0 to 100' });
  return Math.round((((watts ?? 0) / 1e3) * ((price ?? 0) / 1e6) * FEMTO_PER_USD) / MS_A_KWH_OF_A_WATT);
}
