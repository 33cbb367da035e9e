import type { AuditAction, AuditEvent, AuditOrigin } from '../../core/audit.ts';
import { objectOf } from '../../core/json-shape.ts';
import { DEFAULT_PAYER } from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import {
  type LocalRate,
  overrideFields,
  overrideKey,
  type PriceOverride,
  readOverride,
} from '../../core/price-override.ts';
import type {
  FoundPrice,
  ListedPrice,
  PriceDesk,
  PriceName,
  PriceQuestion,
  PriceStore,
  Prices,
  StoredPrice,
} from '../../core/prices.ts';
import { Turns } from '../../core/turns.ts';
import { ownCatalogue } from './catalogue.ts';
import { PriceBook } from './price-book.ts';

/** What the configuration says of prices. */
export interface ConfiguredPrices {
  readonly prices: readonly PriceOverride[];
  readonly localRates: readonly LocalRate[];
  readonly compareWith: ReadonlyMap<string, string>;
}

export interface OperatorPricesOptions {
  readonly configured: ConfiguredPrices;
  /** Opened by the first price that is set. */
  readonly store: () => Promise<PriceStore>;
  readonly wallMs: () => number;
  readonly logger: Logger;
}

/** A price that was set over the API. */
interface KeptPrice {
  readonly override: PriceOverride;
  readonly updatedAtMs: number;
}

const { organisationId } = DEFAULT_PAYER;

/** The prices in force, those that the operator sets among them: what is set is kept first, then it counts. */
export class OperatorPrices implements PriceDesk, Prices {
  readonly catalogue = ownCatalogue();
  readonly #options: OperatorPricesOptions;
  readonly #kept = new Map<string, KeptPrice>();
  readonly #turns = new Turns();
  #configured: ConfiguredPrices;
  #book: PriceBook;

  constructor(options: OperatorPricesOptions) {
    this.#options = options;
    this.#configured = options.configured;
    this.#book = this.#newBook();
  }

  /** What was kept over a restart. One that cannot be read is left out, and said: its model has another price, or none. */
  restore(stored: readonly StoredPrice[]): void {
    for (const { organisationId: owner, rates, updatedAtMs, model } of stored) {
      if (owner !== organisationId) continue;
      const reading = readOverride(objectOf(rates), 'the store');
      if (reading.ok) this.#kept.set(overrideKey(reading.value), { override: reading.value, updatedAtMs });
      else this.#options.logger.error({ model, problems: reading.problems }, 'a kept price cannot be read');
    }
    this.#book = this.#newBook();
  }

  /** Puts changed settings in force for the next call. */
  configure(configured: ConfiguredPrices): void {
    this.#configured = configured;
    this.#book = this.#newBook();
  }

  priceOf(question: PriceQuestion) {
    return this.#book.priceOf(question);
  }

  cloudPriceOf(model: string, nowMs: number) {
    return this.#book.cloudPriceOf(model, nowMs);
  }

  find(question: PriceQuestion): FoundPrice {
    return this.#book.find(question);
  }

  list(): readonly ListedPrice[] {
    const kept = [...this.#kept.values()].map(({ override, updatedAtMs }): ListedPrice => {
      return { setBy: 'api', override, updatedAtMs, counts: true };
    });
    const configured = this.#configured.prices.map((override): ListedPrice => {
      return { setBy: 'yaml', override, updatedAtMs: null, counts: !this.#kept.has(overrideKey(override)) };
    });
    return [...kept, ...configured].toSorted((one, other) => compareNames(one.override, other.override));
  }

  set(override: PriceOverride, origin: AuditOrigin): Promise<'added' | 'replaced'> {
    return this.#turns.run(async () => {
      const key = overrideKey(override);
      const updatedAtMs = this.#options.wallMs();
      const rates = overrideFields(override);
      const before = this.#kept.get(key)?.override ?? null;
      const event = eventOf(before === null ? 'price.add' : 'price.replace', origin, before, override);
      await this.#keep(override, (store) => store.set({ ...rowOf(override), rates, updatedAtMs }, event));
      this.#kept.set(key, { override, updatedAtMs });
      this.#book = this.#newBook();
      return before === null ? 'added' : 'replaced';
    });
  }

  remove(of: PriceName, origin: AuditOrigin): Promise<PriceOverride | null> {
    return this.#turns.run(async () => {
      const kept = this.#kept.get(overrideKey(of));
      if (kept === undefined) return null;
      const event = eventOf('price.remove', origin, kept.override, null);
      await this.#keep(of, (store) => store.remove(rowOf(of), event));
      this.#kept.delete(overrideKey(of));
      this.#book = this.#newBook();
      return kept.override;
    });
  }

  async #keep({ provider, model }: PriceName, work: (store: PriceStore) => Promise<void>): Promise<void> {
    try {
      await work(await this.#options.store());
    } catch (error) {
      this.#options.logger.error({ model, provider, error: String(error) }, 'a changed price could not be kept');
      throw error;
    }
  }

  #newBook(): PriceBook {
    const { prices, localRates, compareWith } = this.#configured;
    const overrides = [...this.#kept.values()].map(({ override }) => override);
    return new PriceBook({ overrides, configured: prices, localRates, cloudTwins: compareWith });
  }
}

function eventOf(
  action: AuditAction,
  origin: AuditOrigin,
  before: PriceOverride | null,
  after: PriceOverride | null,
): AuditEvent {
  const { provider, model } = rowOf(after ?? before ?? { provider: null, model: '' });
  const shown = (override: PriceOverride | null) => (override === null ? null : overrideFields(override));
  const subject = `price:${provider ?? '*'}/${model}`;
  return { origin, action, subject, before: shown(before), after: shown(after), organisationId };
}

/** Names are told apart without case: in the store they are small. */
function rowOf({ provider, model }: PriceName) {
  return { organisationId, provider: provider?.trim().toLowerCase() ?? null, model: model.trim().toLowerCase() };
}

function compareNames(one: PriceOverride, other: PriceOverride): number {
  return one.model.localeCompare(other.model, 'en') || (one.provider ?? '').localeCompare(other.provider ?? '', 'en');
}
