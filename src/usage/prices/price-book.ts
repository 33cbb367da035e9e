import { type Price, tokenPrice, withPicturesOf } from '../../core/price.ts';
import { type LocalRate, overrideKey, type PriceOverride } from '../../core/price-override.ts';
import type { FoundPrice, PriceQuestion, Prices, SetPrice } from '../../core/prices.ts';
import { type Catalogue, ownCatalogue } from './catalogue.ts';
import { priceAt, type Tariff } from './tariff.ts';

export interface PriceBookOptions {
  /** Set over the API: they count before all others. Of two for the same model the later one does. */
  readonly overrides?: readonly PriceOverride[];
  /** Of the YAML file. */
  readonly configured?: readonly PriceOverride[];
  readonly localRates?: readonly LocalRate[];
  /** Local model → the cloud's model that its answers are compared with; `*`: all that have no other. */
  readonly cloudTwins?: ReadonlyMap<string, string>;
  /** Default: the one that is shipped. */
  readonly catalogue?: Catalogue;
}

type PricedTarget = PriceQuestion['target'];

/** All that is known of a model at a target without being told by its provider. */
interface Entry {
  readonly set: SetPrice | null;
  readonly tariff: Tariff | null;
}

/** What was found for one target. */
interface Shelf {
  /** Provider in the catalogue; null: none that it knows. */
  readonly seller: string | null;
  readonly entries: Map<string, Entry>;
}

/** Kinds whose prices do not depend on their address. */
const SELLERS: Readonly<Partial<Record<PricedTarget['adapterKind'], string>>> = {
  openrouter: 'openrouter',
  'azure-openai': 'azure',
};

/** Clients may invent names: what is remembered of one target is forgotten beyond this. */
const MOST_NAMES = 10_000;

/** Where nobody set a rate, answers of own machines are free, and say so by their source. */
const FREE = tokenPrice('local-rate', { input: 0, output: 0 });

/** The prices in force, what wins first: the API's, the YAML file's, the provider's list, the catalogue, the local rate. */
export class PriceBook implements Prices {
  /** What counts first comes first. */
  readonly #set: readonly ReadonlyMap<string, SetPrice>[];
  readonly #localRates = new Map<string, Price>();
  readonly #cloudTwins = new Map<string, string>();
  readonly #catalogue: Catalogue;
  /** Finding a name in the catalogue takes many comparisons: once for each model of a target. */
  readonly #shelves = new WeakMap<PricedTarget, Shelf>();
  readonly #twins = new Map<string, readonly Tariff[]>();

  constructor(options: PriceBookOptions = {}) {
    const { overrides = [], configured = [], localRates = [], cloudTwins, catalogue = ownCatalogue() } = options;
    this.#set = [byKey('api', overrides), byKey('yaml', configured)];
    for (const { provider, price } of localRates) this.#localRates.set(keyOf(provider, ''), price);
    for (const [local, cloud] of cloudTwins ?? []) this.#cloudTwins.set(local.toLowerCase(), cloud);
    this.#catalogue = catalogue;
  }

  priceOf(question: PriceQuestion): Price | null {
    return this.find(question).price;
  }

  /** The price, and who set it. */
  find(question: PriceQuestion): FoundPrice {
    const { target, model, answeredBy } = question;
    const asked = this.#entry(target, model);
    const answered = answeredBy === '' || answeredBy === model ? null : this.#entry(target, answeredBy);
    const set = asked.set ?? answered?.set ?? null;
    if (set === null) return { price: this.#unset(question, asked, answered), set };
    return { price: withPicturesOf(set.override.price, question.listed), set };
  }

  /** Of a model that nobody set a price for. */
  #unset({ target, listed, nowMs }: PriceQuestion, asked: Entry, answered: Entry | null): Price | null {
    if (target.place === 'local') return listed ?? this.#localRate(target);
    const tariff = asked.tariff ?? answered?.tariff ?? null;
    return listed ?? (tariff === null ? null : priceAt(tariff, nowMs));
  }

  /** Of several that sell it the cheapest: a saving should not be made to look larger than it is. */
  cloudPriceOf(model: string, nowMs: number): Price | null {
    let cheapest: Price | null = null;
    for (const tariff of this.#twinTariffs(model)) {
      const price = priceAt(tariff, nowMs);
      if (price !== null && (cheapest === null || usualCost(price) < usualCost(cheapest))) cheapest = price;
    }
    return cheapest;
  }

  #entry(target: PricedTarget, model: string): Entry {
    const { entries, seller } = this.#shelf(target);
    const known = entries.get(model);
    if (known !== undefined) return known;
    const names = [model, ...askedNames(target, model)];
    const tariff = seller === null ? null : this.#tariff(seller, names);
    const entry = { set: this.#setFor(target, names), tariff };
    if (entries.size >= MOST_NAMES) entries.clear();
    entries.set(model, entry);
    return entry;
  }

  #shelf(target: PricedTarget): Shelf {
    const known = this.#shelves.get(target);
    if (known !== undefined) return known;
    const shelf = { seller: this.#seller(target), entries: new Map<string, Entry>() };
    this.#shelves.set(target, shelf);
    return shelf;
  }

  /** Who answers at a local address sells nothing, whatever its models are called. */
  #seller({ adapterKind, place, baseUrl }: PricedTarget): string | null {
    return place === 'local' ? null : (SELLERS[adapterKind] ?? this.#catalogue.providerAt(baseUrl));
  }

  #setFor({ id, provider }: PricedTarget, names: readonly string[]): SetPrice | null {
    for (const prices of this.#set) {
      for (const owner of [id, provider, null]) {
        for (const name of names) {
          const found = prices.get(keyOf(owner, name));
          if (found !== undefined) return found;
        }
      }
    }
    return null;
  }

  #tariff(seller: string, names: readonly string[]): Tariff | null {
    for (const name of names) {
      const tariff = this.#catalogue.tariffOf(seller, name);
      if (tariff !== null) return tariff;
    }
    return null;
  }

  #localRate({ id, provider }: PricedTarget): Price {
    const rate = (owner: string | null): Price | undefined => this.#localRates.get(keyOf(owner, ''));
    return rate(id) ?? rate(provider) ?? rate(null) ?? FREE;
  }

  #twinTariffs(model: string): readonly Tariff[] {
    const known = this.#twins.get(model);
    if (known !== undefined) return known;
    const named = this.#cloudTwins.get(model.toLowerCase());
    const anyName = this.#cloudTwins.get('*');
    let tariffs = this.#soldAs(named ?? model);
    if (named === undefined && tariffs.length === 0 && anyName !== undefined) tariffs = this.#soldAs(anyName);
    if (this.#twins.size >= MOST_NAMES) this.#twins.clear();
    this.#twins.set(model, tariffs);
    return tariffs;
  }

  /** `openai/gpt-4o-mini` is OpenAI's, where OpenAI sells it; else whatever is called so. Free offers are no price. */
  #soldAs(name: string): readonly Tariff[] {
    const slash = name.indexOf('/');
    const provider = name.slice(0, Math.max(0, slash)).toLowerCase();
    const own = this.#catalogue.hasProvider(provider)
      ? this.#catalogue.tariffOf(provider, name.slice(slash + 1))
      : null;
    const tariffs = own === null ? this.#catalogue.tariffsOfSameName(name) : [own];
    return tariffs.filter((tariff) => tariff.every(({ price }) => usualCost(price) > 0));
  }
}

/** Azure is asked for deployments, whose names say nothing: what clients ask for does. */
function askedNames({ deployments }: PricedTarget, model: string): readonly string[] {
  return [...deployments].filter(([, deployment]) => deployment === model).map(([asked]) => asked);
}

/** A prompt is usually about three times as long as its answer. */
function usualCost({ rates: { input, output } }: Price): number {
  return 3 * input + output;
}

function keyOf(provider: string | null, model: string): string {
  return overrideKey({ provider, model });
}

function byKey(setBy: SetPrice['setBy'], overrides: readonly PriceOverride[]): ReadonlyMap<string, SetPrice> {
  return new Map(overrides.map((override) => [overrideKey(override), { setBy, override }]));
}
