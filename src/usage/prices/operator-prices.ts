import { againOnConflict } from '../../core/again-on-conflict.ts';
import type { AuditAction, AuditEvent, AuditOrigin } from '../../core/audit.ts';
import { objectOf } from '../../core/json-shape.ts';
import { checkRevision, RevisionConflict } from '../../core/key-store.ts';
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
  readonly revision: number;
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

  /**
   * Puts in force what is kept: at the start, and when another gateway changed it. One that cannot be read is left out,
   * and said: its model has another price, or none.
   */
  refresh(read: () => Promise<readonly StoredPrice[]>): Promise<void> {
    // In turn, so that an older state is never put over a change that was made meanwhile.
    return this.#turns.run(async () => this.#replace(await read()));
  }

  #replace(stored: readonly StoredPrice[]): void {
    this.#kept.clear();
    for (const { organisationId: owner, rates, updatedAtMs, revision, model } of stored) {
      if (owner !== organisationId) continue;
      const reading = readOverride(objectOf(rates), 'the store');
      if (reading.ok) this.#kept.set(overrideKey(reading.value), { override: reading.value, updatedAtMs, revision });
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
    const kept = [...this.#kept.values()].map(({ override, updatedAtMs, revision }): ListedPrice => {
      return { setBy: 'api', override, updatedAtMs, revision, counts: true };
    });
    const configured = this.#configured.prices.map((override): ListedPrice => {
      return {
        setBy: 'yaml',
        override,
        updatedAtMs: null,
        revision: 0,
        counts: !this.#kept.has(overrideKey(override)),
      };
    });
    return [...kept, ...configured].toSorted((one, other) => compareNames(one.override, other.override));
  }

  set(override: PriceOverride, origin: AuditOrigin, wanted: number | null = null): Promise<'added' | 'replaced'> {
    return this.#change(override, wanted, async (store) => {
      const key = overrideKey(override);
      const updatedAtMs = this.#options.wallMs();
      const rates = overrideFields(override);
      const known = this.#kept.get(key) ?? null;
      const revision = revisionThere(known, wanted) + 1;
      const action = known === null ? 'price.add' : 'price.replace';
      const event = eventOf(action, origin, known?.override ?? null, override);
      await store.set({ ...rowOf(override), rates, updatedAtMs, revision }, event);
      this.#kept.set(key, { override, updatedAtMs, revision });
      this.#book = this.#newBook();
      return known === null ? 'added' : 'replaced';
    });
  }

  remove(of: PriceName, origin: AuditOrigin, wanted: number | null = null): Promise<PriceOverride | null> {
    return this.#change(of, wanted, async (store) => {
      const kept = this.#kept.get(overrideKey(of));
      if (kept === undefined) return null;
      const revision = revisionThere(kept, wanted);
      await store.remove({ ...rowOf(of), revision }, eventOf('price.remove', origin, kept.override, null));
      this.#kept.delete(overrideKey(of));
      this.#book = this.#newBook();
      return kept.override;
    });
  }

  async #change<Result>(
    { provider, model }: PriceName,
    wanted: number | null,
    work: (store: PriceStore) => Promise<Result>,
  ): Promise<Result> {
    try {
      // Before it is anybody's turn: a store that is opened for it tells what it holds, which takes a turn, too.
      const store = await this.#options.store();
      return await againOnConflict(wanted, () =>
        this.#turns.run(async () => {
          // Another gateway may have changed it a moment ago.
          this.#replace(await store.all());
          return work(store);
        }),
      );
    } catch (error) {
      if (error instanceof RevisionConflict) throw error;
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

/** The revision that is there; 0: none. @throws RevisionConflict when another is `wanted` */
function revisionThere(known: KeptPrice | null, wanted: number | null): number {
  const there = known?.revision ?? 0;
  checkRevision('The price', wanted, there);
  return there;
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
