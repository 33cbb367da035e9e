import type { JsonObject } from './json-shape.ts';
import { fullRates, type Price, TOKEN_CLASSES, type TokenRates } from './price.ts';
import { FieldReader, RATE_FIELDS, RATE_NAMES, type Reading, readList } from './price-fields.ts';
import type { Problem } from './problem.ts';

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

/**
 * Prices as a person wrote them, YAML or JSON already parsed: all of them, or what is wrong with which. `where` is how
 * problems call the source.
 */
export function readOverrides(list: unknown, where: string, name = 'prices'): Reading<readonly PriceOverride[]> {
  const seen = new Map<string, string>();
  return readList(list, where, name, (fields, path, problems) => {
    const override = readOverrideAt(fields, where, path, problems);
    const key = `${override.provider?.toLowerCase() ?? ''}\n${override.model.toLowerCase()}`;
    const before = seen.get(key);
    const reader = new FieldReader(fields, where, path, problems);
    if (before !== undefined) reader.report('model', `${before} is for the same model`, null, 'remove one of them');
    seen.set(key, path);
    return override;
  });
}

/** One price, as it comes over the API. */
export function readOverride(fields: JsonObject, where: string): Reading<PriceOverride> {
  const problems: Problem[] = [];
  const value = readOverrideAt(fields, where, 'price', problems);
  return problems.length === 0 ? { ok: true, value } : { ok: false, problems };
}

function readOverrideAt(fields: JsonObject, where: string, path: string, problems: Problem[]): PriceOverride {
  const reader = new FieldReader(fields, where, path, problems);
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
  const { rates, tiers, callNanoUsd } = price;
  return {
    model,
    ...(provider !== null && { provider }),
    ...rateFields(rates),
    ...(callNanoUsd > 0 && { usd_per_request: callNanoUsd / 10 ** NANO }),
    ...(tiers.length > 0 && {
      tiers: tiers.map((tier) => ({ above_prompt_tokens: tier.aboveTokens, ...rateFields(tier.rates) })),
    }),
  };
}

/** Only those that cost something else than what they are a part of. */
function rateFields(rates: TokenRates): JsonObject {
  const { input, output } = rates;
  const plain = fullRates({ input, output });
  const named = TOKEN_CLASSES.filter((name) => name === 'input' || name === 'output' || rates[name] !== plain[name]);
  return Object.fromEntries(named.map((name) => [RATE_FIELDS[name], rates[name] / 10 ** NANO]));
}

export function readLocalRates(list: unknown, where: string, name = 'local_rates'): Reading<readonly LocalRate[]> {
  return readList(list, where, name, (fields, path, problems) => {
    const reader = new FieldReader(fields, where, path, problems);
    reader.onlyKnows(LOCAL_RATE_FIELDS);
    return { provider: reader.name('provider'), price: localPrice(reader) };
  });
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

/** A watt for a kilowatt-hour is 3.6 × 10⁹ ms. */
const MS_A_KWH_OF_A_WATT = 3.6e9;
const FEMTO_PER_USD = 1e15;

/** Femto-USD a millisecond; rounded here, once: what a meter reads is less exact. */
function electricity(reader: FieldReader): number {
  for (const [field, other] of [
    ['watts', 'usd_per_kwh'],
    ['usd_per_kwh', 'watts'],
  ] as const) {
    if (!reader.has(field)) reader.report(field, `it is missing beside ${other}`, null, `add ${field}`, null);
  }
  const watts = reader.decimal('watts', { places: 3, most: 100_000, allowed: 'watts from 0 to 100,000' });
  const price = reader.decimal('usd_per_kwh', { places: 6, most: 100, allowed: 'US dollars from 0 to 100' });
  return Math.round((((watts ?? 0) / 1e3) * ((price ?? 0) / 1e6) * FEMTO_PER_USD) / MS_A_KWH_OF_A_WATT);
}
