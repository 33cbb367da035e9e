// The price catalogue that is shipped, read from the data of @pydantic/genai-prices. Written by `npm run docs`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ConditionalPrice,
  findProvider,
  type MatchLogic,
  type ModelInfo,
  type ModelPrice,
  type Provider,
} from '@pydantic/genai-prices';
import { scaledDecimal } from '../src/core/decimal.ts';
import type { TokenClass } from '../src/core/price.ts';
import type {
  CatalogueFile,
  CatalogueModel,
  CataloguePrice,
  CatalogueProvider,
  CatalogueRates,
  NamePattern,
} from '../src/usage/prices/catalogue-format.ts';

const PACKAGE = '@pydantic/genai-prices';

/** The package does not say how old its data is: the day each version was published has to be written down here. */
const PUBLISHED: Readonly<Record<string, string>> = { '0.1.8': '2026-09-23' };

/** Sellers of text models that speak OpenAI's wire. Left out are clients of models, and markets behind one address. */
const PROVIDERS = [
  ...['anthropic', 'arcee', 'avian', 'aws', 'azure', 'baseten', 'cerebras', 'cloudflare', 'cohere', 'deepseek'],
  ...['doubleword', 'fireworks', 'google', 'groq', 'minimax', 'mistral', 'moonshotai', 'novita', 'openai'],
  ...['openrouter', 'ovhcloud', 'perplexity', 'together', 'voyageai', 'x-ai', 'zai', 'zhipuai'],
];

/** The package's names of what is priced → ours. Searches, pages and hours of sound are no tokens. */
const CLASSES: Readonly<Record<string, TokenClass>> = {
  input_mtok: 'input',
  cache_read_mtok: 'cachedInput',
  cache_write_mtok: 'cacheWrite',
  input_audio_mtok: 'audioInput',
  input_image_mtok: 'imageInput',
  output_mtok: 'output',
  output_reasoning_mtok: 'reasoning',
  output_audio_mtok: 'audioOutput',
  output_image_mtok: 'imageOutput',
};

const CALLS = 'requests_kcount';

export function buildCatalogue(): CatalogueFile {
  const version = installedVersion();
  const date = PUBLISHED[version];
  if (date === undefined) throw new Error(`${PACKAGE} ${version}: add its day of publication to PUBLISHED`);
  return {
    source: `${PACKAGE} ${version} (MIT)`,
    date,
    unit: 'femto-USD (1e-15 USD) a token = nano-USD a million tokens; call: nano-USD',
    providers: PROVIDERS.map((id) => providerOf(id, date)),
  };
}

/** One line a model, so that a change of prices can be read. */
export function catalogueText(): string {
  const { providers, ...head } = buildCatalogue();
  const list = providers.map(({ models, ...provider }) => {
    const lines = models.map((model) => `    ${JSON.stringify(model)}`).join(',\n');
    return `  ${JSON.stringify(provider).slice(0, -1)},"models":[\n${lines}\n  ]}`;
  });
  return `${JSON.stringify(head).slice(0, -1)},"providers":[\n${list.join(',\n')}\n]}\n`;
}

function installedVersion(): string {
  const manifest = join(import.meta.dir, '..', 'node_modules', PACKAGE, 'package.json');
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

function providerOf(id: string, date: string): CatalogueProvider {
  const provider: Provider | undefined = findProvider({ providerId: id });
  if (provider?.id !== id) throw new Error(`${PACKAGE} has no provider '${id}'`);
  const sells = provider.fallback_model_providers ?? [];
  return {
    id,
    api: provider.api_pattern,
    ...(sells.length > 0 && { sells }),
    models: provider.models.map((model) => modelOf(model, date)).filter((model) => model !== null),
  };
}

/** Null: it is not sold by the token. */
function modelOf({ id, match, prices }: ModelInfo, date: string): CatalogueModel | null {
  const periods = inForce(Array.isArray(prices) ? prices : [{ prices }], date).map((each) => priceOf(each, date));
  const sold = periods.filter((price) => price !== null);
  if (sold.length === 0 || sold.length < periods.length) return null;
  const names = patternsOf(match);
  const isPlain = names.length === 1 && names[0] === `=${id.toLowerCase()}`;
  return { id, ...(!isPlain && { match: names }), prices: sold };
}

/** Without what was replaced for good by the catalogue's day. */
function inForce(periods: readonly ConditionalPrice[], date: string): readonly ConditionalPrice[] {
  const isForGood = ({ constraint }: ConditionalPrice): boolean =>
    constraint === undefined || (constraint.type === 'start_date' && constraint.start_date <= date);
  return periods.slice(Math.max(0, periods.findLastIndex(isForGood)));
}

function priceOf({ constraint, prices }: ConditionalPrice, date: string): CataloguePrice | null {
  const rates = ratesOf(prices, null);
  if (rates === null) return null;
  const tiers = startsOf(prices).map((above) => ({ above, ...(ratesOf(prices, above) ?? rates) }));
  const calls = prices[CALLS];
  return {
    ...(constraint?.type === 'start_date' && constraint.start_date > date && { from: constraint.start_date }),
    ...(constraint?.type === 'time_of_date' && { hours: hoursOf(constraint.start_time, constraint.end_time) }),
    ...rates,
    ...(tiers.length > 0 && { tiers }),
    ...(typeof calls === 'number' && { call: nano(calls, 6) }),
  };
}

/** Null: nothing is asked for a token of the prompt. */
function ratesOf(prices: ModelPrice, above: number | null): CatalogueRates | null {
  const rates: Partial<Record<TokenClass, number>> = {};
  for (const [key, name] of Object.entries(CLASSES)) {
    const price = prices[key];
    if (price === undefined) continue;
    const usd = typeof price === 'number' ? price : (price.tiers.findLast(isReached(above))?.price ?? price.base);
    rates[name] = nano(usd, 9);
  }
  const { input } = rates;
  return input === undefined ? null : { ...rates, input };
}

function isReached(above: number | null): (tier: { start: number }) => boolean {
  return ({ start }) => above !== null && start <= above;
}

function startsOf(prices: ModelPrice): readonly number[] {
  const starts = Object.keys(CLASSES).flatMap((key) => {
    const price = prices[key];
    return typeof price === 'object' ? price.tiers.map(({ start }) => start) : [];
  });
  return [...new Set(starts)].sort((a, b) => a - b);
}

/** Finer prices than the unit (a twelfth of a dollar) are rounded here, once. */
function nano(usd: number, places: number): number {
  const scaled = scaledDecimal(usd, places);
  if (scaled === null) throw new Error(`${PACKAGE}: ${usd} is no price`);
  return scaled.value;
}

/** `00:30:00Z` as `00:30`. */
function hoursOf(start: string, end: string): [string, string] {
  const [from, to] = [start, end].map((time) => /^(\d\d:\d\d):00Z$/.exec(time)?.[1]);
  if (from === undefined || to === undefined) throw new Error(`${PACKAGE}: ${start} to ${end} are no times of the day`);
  return [from, to];
}

function patternsOf(match: MatchLogic): readonly NamePattern[] {
  if ('or' in match) return match.or.flatMap(patternsOf);
  return 'and' in match ? [match.and.map(patternOf)] : [patternOf(match)];
}

function patternOf(match: MatchLogic): string {
  if ('equals' in match) return `=${match.equals.toLowerCase()}`;
  if ('starts_with' in match) return `^${match.starts_with.toLowerCase()}`;
  if ('ends_with' in match) return `$${match.ends_with.toLowerCase()}`;
  if ('contains' in match) return `~${match.contains.toLowerCase()}`;
  if ('regex' in match) return `/${match.regex}`;
  throw new Error(`${PACKAGE}: a list within a list of conditions: ${JSON.stringify(match)}`);
}
