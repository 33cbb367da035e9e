import type { CostSource } from '../../core/price.ts';

/**
 * More than any call uses, or any provider charges for one: the longest contexts have some millions of tokens, the
 * dearest models cost some hundred US dollars for all of one. Sums of budgets stay exact below 2^53, whatever clients ask
 * for and servers report: without these a handful of requests for 2^53 tokens would push a budget that others share
 * beyond it.
 */
export const MOST_CALL_TOKENS = 2 ** 32;
export const MOST_CALL_NANO_USD = 1e12;

/** Set aside where no hard budget holds a call to it: there it only shows what may still come. */
const MOST_LIKELY_TOKENS = 1e8;
const MOST_LIKELY_NANO_USD = 1e11;

/**
 * What a call sets aside, fit for the ledger. `likely`: no hard budget applies. Else the money is all that it may cost,
 * whatever that is: the budget is asked whether it has room for it.
 */
export function setAside(
  amounts: { readonly nanoUsd: number; readonly tokens: number },
  likely: boolean,
): { readonly reservedNanoUsd: number; readonly reservedTokens: number } {
  return {
    reservedNanoUsd: atMost(amounts.nanoUsd, likely ? MOST_LIKELY_NANO_USD : Number.MAX_SAFE_INTEGER),
    reservedTokens: atMost(amounts.tokens, likely ? MOST_LIKELY_TOKENS : MOST_CALL_TOKENS),
  };
}

/** Tokens that a server counted: none is told as 0, more than there can be as the most there can be. */
export function countedTokens(value: number | null | undefined): number {
  return value === null || value === undefined ? 0 : atMost(value, MOST_CALL_TOKENS);
}

/** What a call cost, nano-USD; null: nobody knows, or its provider says that it is more than any call costs. */
export function knownCost(value: number | null, source: CostSource): number | null {
  if (value === null || !Number.isSafeInteger(value) || value < 0) return null;
  return source === 'provider' && value > MOST_CALL_NANO_USD ? null : value;
}

/** A whole number from 0 to `most`; what is no number is 0. */
function atMost(value: number, most: number): number {
  if (Number.isNaN(value) || value <= 0) return 0;
  return value >= most ? most : Math.ceil(value);
}
