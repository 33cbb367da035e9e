import type { Price } from './price.ts';
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
