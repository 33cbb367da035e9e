import type { CostSource, PublishedPrices } from '../../core/price.ts';
import type { Target } from '../../core/target.ts';
import type { Usage } from '../../core/usage.ts';

/** What a price is asked for. */
export interface PricedCall {
  readonly target: Target;
  /** As the target is asked for it. */
  readonly model: string;
  /** The model that the server says answered; empty: not said, or not answered yet. */
  readonly answeredBy: string;
  /** Wall clock, ms since the Unix epoch: prices change on dates. */
  readonly nowMs: number;
}

/** All that bills need to know of money. `Price`: whatever the catalogue makes it. Look-ups only; nothing here throws. */
export interface Pricing<Price> {
  /** Null: no price is known. */
  priceOf(call: PricedCall): Price | null;
  /** The most that so many tokens can cost in that time, nano-USD, rounded up; null: no price is known. */
  estimateNanoUsd(
    promptTokens: number,
    maxOutputTokens: number,
    price: Price | null,
    of: { readonly longestMs: number; readonly pictures: number },
  ): number | null;
  publishedPrices(price: Price): PublishedPrices;
  /** What was used costs, integer nano-USD ≥ 0; null: not known. The provider's own bill wins. `runningMs`: how long the call ran. */
  costOf(
    usage: Usage,
    price: Price | null,
    runningMs: number,
  ): { readonly nanoUsd: number | null; readonly source: CostSource };
  /** What a cloud would have charged above what it cost, nano-USD ≥ 0; null: not known. */
  savedNanoUsd(call: PricedCall, usage: Usage, costNanoUsd: number | null): number | null;
}
