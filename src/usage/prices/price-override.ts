import type { Price } from '../../core/price.ts';

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
