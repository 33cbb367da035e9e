import type { CostSource } from '../../core/price.ts';

/**
 * More than any call uses, or any provider charges for one: the longest contexts have some millions of tokens, the
 * dearest models cost some hundred US dollars for all of one. Sums of budgets stay exact below 2^53, whatever clients ask
 * for and servers report: without these a handful of requests for 2^53 tokens would push a budget that others share
 * beyond it.
 */
export const MOST_CALL_TOKENS = 2 ** 32;
export const MOST_CALL_NANO_USD = 1e12;

/** Of a call that nothing is wrong with; set aside at most where no hard budget holds a call to it. */
const MOST_LIKELY_TOKENS = 1e8;
const MOST_LIKELY_NANO_USD = 1e11;

/** What a hard budget is asked for before the call is made: only then all that it may cost is set aside. */
export interface Promised {
  readonly usd: boolean;
  readonly tokens: boolean;
}

/** What a call sets aside, fit for the ledger. Where nothing is promised it only shows what may still come. */
export function setAside(
  amounts: { readonly nanoUsd: number; readonly tokens: number },
  promised: Promised,
): { readonly reservedNanoUsd: number; readonly reservedTokens: number } {
  return {
    reservedNanoUsd: atMost(amounts.nanoUsd, promised.usd ? Number.MAX_SAFE_INTEGER : MOST_LIKELY_NANO_USD),
    reservedTokens: atMost(amounts.tokens, promised.tokens ? MOST_CALL_TOKENS : MOST_LIKELY_TOKENS),
  };
}

/** Tokens that a server counted: none is told as 0, more than there can be as the most there can be. */
export function countedTokens(value: number | null | undefined): number {
  return value === null || value === undefined ? 0 : atMost(value, MOST_CALL_TOKENS);
}

/**
 * What a call cost, nano-USD; null: nobody knows, or it is more than this call can have cost: by its provider's word, or
 * by a count of tokens that no call has.
 * @param call what was set aside for it, and how many tokens its server counted
 */
export function knownCost(
  value: number | null,
  source: CostSource,
  call: { readonly reservedNanoUsd: number; readonly tokens: number },
): number | null {
  // The highest number stands for a cost that is too high to be told.
  if (value === null || !Number.isSafeInteger(value) || value < 0 || value === Number.MAX_SAFE_INTEGER) return null;
  if (value <= Math.max(MOST_CALL_NANO_USD, call.reservedNanoUsd)) return value;
  return source !== 'provider' && call.tokens <= MOST_LIKELY_TOKENS ? value : null;
}

/** A whole number from 0 to `most`; what is no number is 0. */
function atMost(value: number, most: number): number {
  if (Number.isNaN(value) || value <= 0) return 0;
  return value >= most ? most : Math.ceil(value);
}
