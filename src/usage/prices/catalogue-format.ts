import type { TokenRates } from '../../core/price.ts';

/** The file `catalogue.json`: what `scripts/catalogue.ts` writes and `catalogue.ts` reads. */
export interface CatalogueFile {
  /** Package, version and licence that the prices were read from. */
  readonly source: string;
  /** The day it was published, ISO: prices are those in force then, and changes announced by then. */
  readonly date: string;
  readonly unit: string;
  readonly providers: readonly CatalogueProvider[];
}

export interface CatalogueProvider {
  readonly id: string;
  /** Regular expression of its addresses. */
  readonly api: string;
  /** Providers whose models it sells at their price, where it lists none of its own. */
  readonly sells?: readonly string[];
  readonly models: readonly CatalogueModel[];
}

export interface CatalogueModel {
  readonly id: string;
  /** Its names, one of which must fit; absent: its id alone. */
  readonly match?: readonly NamePattern[];
  /** The last that is in force counts. */
  readonly prices: readonly CataloguePrice[];
}

/** `=whole name`, `^start`, `$end`, `~part`, `/regular expression`; a list: all of them must fit. Compared in lower case. */
export type NamePattern = string | readonly string[];

/** Femto-USD a token, which is nano-USD for a million tokens. A class without a rate costs what its side costs. */
export interface CatalogueRates extends Partial<TokenRates> {
  readonly input: number;
}

export interface CataloguePrice extends CatalogueRates {
  /** In force from this day on, ISO, 00:00 UTC; absent: already. */
  readonly from?: string;
  /** Within the day, UTC, `HH:MM`, the second not included; absent: all day. */
  readonly hours?: readonly [string, string];
  /** For prompts of more tokens than `above`, rising. */
  readonly tiers?: readonly (CatalogueRates & { readonly above: number })[];
  /** Nano-USD a call; absent: none. */
  readonly call?: number;
}
