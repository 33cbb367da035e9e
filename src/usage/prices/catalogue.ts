import { fullRates, type Price, type TokenRates } from '../../core/price.ts';
import shipped from './catalogue.json' with { type: 'text' };
import type {
  CatalogueFile,
  CatalogueModel,
  CataloguePrice,
  CatalogueProvider,
  CatalogueRates,
} from './catalogue-format.ts';
import { NameIndex } from './name-index.ts';
import type { Tariff, TariffPeriod } from './tariff.ts';

/** Published prices. Looking something up here takes some µs: whoever asks often remembers the answer. */
export class Catalogue {
  readonly source: string;
  /** ISO day that the prices were published. */
  readonly date: string;
  readonly #providers: readonly CatalogueProvider[];
  readonly #names = new Map<string, NameIndex<CatalogueModel>>();
  #byPlainName: NamedModels | null = null;
  #byLooseName: NamedModels | null = null;

  constructor({ source, date, providers }: CatalogueFile) {
    this.source = source;
    this.date = date;
    this.#providers = providers;
  }

  /** Who sells at that address; null: nobody that is known. */
  providerAt(baseUrl: string): string | null {
    return this.#providers.find(({ api }) => new RegExp(`^(?:${api})`, 'i').test(baseUrl))?.id ?? null;
  }

  hasProvider(id: string): boolean {
    return this.#providers.some((provider) => provider.id === id);
  }

  /** What the provider asks for the model; null: not known. */
  tariffOf(providerId: string, model: string): Tariff | null {
    const provider = this.#providers.find(({ id }) => id === providerId);
    if (provider === undefined) return null;
    const name = model.trim().toLowerCase();
    for (const seller of [providerId, ...(provider.sells ?? [])]) {
      const found = this.#namesOf(seller).find(name);
      if (found !== null) return tariffOf(found);
    }
    return null;
  }

  /**
   * What all that sell a model of that name ask for it: the maker's prefix, case and a tag `latest` do not count. Where
   * nobody sells one of that very name, how it is punctuated and that it is tuned for chat do not count either.
   */
  tariffsOfSameName(model: string): readonly Tariff[] {
    this.#byPlainName ??= byName(this.#providers, plainName);
    const exact = this.#byPlainName.get(plainName(model));
    if (exact !== undefined) return exact.map(tariffOf);
    this.#byLooseName ??= byName(this.#providers, looseName);
    return (this.#byLooseName.get(looseName(model)) ?? []).map(tariffOf);
  }

  #namesOf(providerId: string): NameIndex<CatalogueModel> {
    const known = this.#names.get(providerId);
    if (known !== undefined) return known;
    const models = this.#providers.find(({ id }) => id === providerId)?.models ?? [];
    const index = new NameIndex(models, ({ id, match }) => match ?? [`=${id.toLowerCase()}`]);
    this.#names.set(providerId, index);
    return index;
  }
}

type NamedModels = ReadonlyMap<string, readonly CatalogueModel[]>;

let shippedCatalogue: Catalogue | null = null;

/** The catalogue that comes with the program. */
export function ownCatalogue(): Catalogue {
  // As a module its JSON would take 15 ms of every start, as text under 1 ms of the first look-up.
  shippedCatalogue ??= new Catalogue(JSON.parse(shipped as unknown as string) as CatalogueFile);
  return shippedCatalogue;
}

/** `Qwen/Qwen3-8B`, `qwen3-8b@q4_k_m` and `qwen3:8b` as `qwen3-8b`. */
export function plainName(model: string): string {
  const name = model.trim().toLowerCase();
  return name
    .slice(name.lastIndexOf('/') + 1)
    .replace(/@.*$/, '')
    .replace(/:latest$/, '')
    .replace(/[-.](?:gguf|mlx|awq|gptq|fp8|fp16|bf16|[348]bit)$/, '')
    .replace(/[-_:](?:i?q[2-8](?:_[a-z0-9]+)*)$/, '')
    .replaceAll(':', '-');
}

/**
 * `gemma3:12b` and `google.gemma-3-12b-it` as `gemma3-12b`, `Meta-Llama-3.1-8B-Instruct` as `llama3.1-8b`. No letter and
 * no digit is lost that tells a family, a version or a size: only what stands between letters and a number, and marks at
 * the end that local servers leave out. Without a number in it a name is too little to be shortened: `deepseek-chat` is
 * no `deepseek`.
 */
export function looseName(model: string): string {
  // Twice: of `…-GGUF:Q4_K_M` the first pass takes the end.
  const name = plainName(plainName(model))
    .replace(MAKER, '')
    .replace(/(?<=[a-z])[-_. ]+(?=\d)/g, '');
  const short = name.replace(/-qat$/, '').replace(/-(?:it|instruct|chat)$/, '');
  return /\d/.test(short) ? short : name;
}

/** Makers that are written before a name without a slash. */
const MAKER = /^(?:meta-(?=llama)|(?:google|meta|microsoft|mistral|openai|qwen)\.(?=[a-z]))/;

function byName(providers: readonly CatalogueProvider[], nameOf: (name: string) => string): NamedModels {
  const models = new Map<string, CatalogueModel[]>();
  for (const model of providers.flatMap((provider) => provider.models)) {
    const whole = (model.match ?? []).filter((pattern) => typeof pattern === 'string' && pattern.startsWith('='));
    const names = new Set([model.id, ...whole.map((pattern) => String(pattern).slice(1))].map(nameOf));
    for (const name of names) {
      const list = models.get(name);
      if (list === undefined) models.set(name, [model]);
      else list.push(model);
    }
  }
  return models;
}

function tariffOf({ prices }: CatalogueModel): Tariff {
  return prices.map(periodOf);
}

function periodOf(price: CataloguePrice): TariffPeriod {
  return {
    fromMs: price.from === undefined ? null : Date.parse(`${price.from}T00:00:00Z`),
    minutes: price.hours === undefined ? null : [minuteOf(price.hours[0]), minuteOf(price.hours[1])],
    price: priceOf(price),
  };
}

function minuteOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}

function priceOf(price: CataloguePrice): Price {
  return {
    rates: ratesOf(price),
    tiers: (price.tiers ?? []).map((tier) => ({ aboveTokens: tier.above, rates: ratesOf(tier) })),
    callNanoUsd: price.call ?? 0,
    msFemtoUsd: 0,
    source: 'catalogue',
  };
}

/** What gives no answers (embeddings) has no price for their tokens: should some come, they are not free. */
function ratesOf(rates: CatalogueRates): TokenRates {
  return fullRates({ ...rates, output: rates.output ?? rates.input });
}
