import type { AuditEvent, AuditOrigin } from './audit.ts';
import type { Price } from './price.ts';
import type { PriceOverride } from './price-override.ts';
import type { Target } from './target.ts';

/** What a price is asked for. */
export interface PriceQuestion {
  readonly target: Pick<Target, 'id' | 'provider' | 'adapterKind' | 'place' | 'baseUrl' | 'deployments'>;
  /** As the target is asked for it. */
  readonly model: string;
  /** `ModelInfo.price` of that model; null: the provider says none. */
  readonly listed: Price | null;
  /** The model that the server says answered; empty: not said. Looked up when the asked name says nothing. */
  readonly answeredBy: string;
  /** Wall clock, ms since the Unix epoch: prices change on dates, some with the time of day. */
  readonly nowMs: number;
}

/** The prices in force. Never changes: new overrides make a new one. Each answer takes a look-up, no I/O. */
export interface Prices {
  /** Null: no price is known. */
  priceOf(question: PriceQuestion): Price | null;
  /** What a cloud asks for a local model: the one it is to be compared with, else one of the same name. Null: none known. */
  cloudPriceOf(model: string, nowMs: number): Price | null;
}

/** Who said what a model costs: `api`: over the admin API, kept in the store · `yaml`: the file. The API's word counts first. */
export type PriceSetBy = 'api' | 'yaml';

/** A price that somebody set. */
export interface SetPrice {
  readonly setBy: PriceSetBy;
  readonly override: PriceOverride;
}

/** Where a price comes from. */
export interface FoundPrice {
  /** Null: nobody knows one. */
  readonly price: Price | null;
  /** The one that counts; null: nobody set one for it. */
  readonly set: SetPrice | null;
}

/** A price that somebody set, as a list shows it. */
export interface ListedPrice extends SetPrice {
  /** Wall clock, ms since the Unix epoch; null: the file does not say. */
  readonly updatedAtMs: number | null;
  /** Goes up with every change over the API, from 1; 0: the file sets it. */
  readonly revision: number;
  /** False: the API sets another price for the same calls. */
  readonly counts: boolean;
}

/** What a price is for. */
export type PriceName = Pick<PriceOverride, 'provider' | 'model'>;

/** The operator's prices, and changing them while the gateway runs. */
export interface PriceDesk {
  /** Where published prices come from, and of which day they are. */
  readonly catalogue: { readonly source: string; readonly date: string };
  /** Sorted by model and provider. */
  list(): readonly ListedPrice[];
  find(question: PriceQuestion): FoundPrice;
  /**
   * Kept and on record, and in force for the next call. Rejects when it cannot be; then nothing has changed.
   * @param revision that must be there, else it rejects with RevisionConflict; 0: none; null: whichever
   */
  set(override: PriceOverride, origin: AuditOrigin, revision?: number | null): Promise<'added' | 'replaced'>;
  /** The one that was set over the API; null: there was none. Rejects as `set` does. */
  remove(of: PriceName, origin: AuditOrigin, revision?: number | null): Promise<PriceOverride | null>;
}

/** A price as it is kept. */
export interface StoredPrice {
  readonly organisationId: string;
  /** Null: at every provider, on this machine too. */
  readonly provider: string | null;
  readonly model: string;
  /** Plain JSON, as `overrideFields` writes it. */
  readonly rates: unknown;
  readonly updatedAtMs: number;
  readonly revision: number;
}

/** Where prices are kept, one a provider and model. A change and what is on record of it are written both, or neither. */
export interface PriceStore {
  all(): Promise<readonly StoredPrice[]>;
  /** In place of the one of the revision before, which is 0 if there is none. Rejects with RevisionConflict. */
  set(price: StoredPrice, event: AuditEvent): Promise<void>;
  /** Rejects with RevisionConflict. */
  remove(of: Omit<StoredPrice, 'rates' | 'updatedAtMs'>, event: AuditEvent): Promise<void>;
}
