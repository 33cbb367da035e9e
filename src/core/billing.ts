import type { FailureKind } from './failure.ts';
import type { PublishedPrices } from './price.ts';
import type { InferenceRequest } from './request.ts';
import type { Target } from './target.ts';
import type { Usage } from './usage.ts';

/** One upstream call that is about to be made. */
export interface Purchase {
  readonly request: InferenceRequest;
  /** Of the request's calls, ≥ 1. */
  readonly attempt: number;
  readonly target: Target;
  readonly model: string;
  /** Estimated. */
  readonly promptTokens: number;
}

/** How it ended. */
export interface CallEnd {
  /** Null: it came to its proper end. */
  readonly failure: FailureKind | null;
  readonly status: number | null;
  /** As the server reported it; null: it did not. */
  readonly usage: Usage | null;
  /** The model that the server says answered; empty: it did not say. */
  readonly model: string;
  /** About how many tokens of an answer came, for when nobody reports them. */
  readonly producedTokens: number;
  /** The answer was read to its proper end: the usage, where there is one, is of all of it. */
  readonly isComplete: boolean;
  /** It was over before anything was sent. */
  readonly neverMade?: true;
}

/** US dollars, as PublishedPrices. */
export interface SpendingCeilings extends Omit<PublishedPrices, 'image'> {
  /** Null: the prompt has no picture. */
  readonly image: number | null;
}

/** What a call must keep to, so that it costs no more than was set aside for it in a hard budget. */
export interface SpendingTerms {
  /** Of each answer, tokens, ≥ 1; what a server does beside the answer and charges apart is not asked for. Null: the client's own limit, if any. */
  readonly answerTokens: number | null;
  /** What was reckoned with: whoever chooses among providers is to choose none that asks more. Null: no budget in dollars applies. */
  readonly most: SpendingCeilings | null;
}

/** What one call is going to cost whoever sent the request. */
export interface Bill {
  /** Null: there is nothing to keep to. */
  readonly terms: SpendingTerms | null;
  /**
   * Once for each bill, whatever becomes of the call. Resolves when it cannot be lost any more, nor any that was ended
   * before it: only the latest is waited for. Null: it is free. Never rejects.
   */
  end(end: CallEnd): Promise<void> | null;
}

/**
 * Who pays for upstream calls. The router tells it of each one before it is made and when it has ended, and lets no
 * client see the end of its answer before that cannot be lost.
 */
export interface Billing {
  /** Waited for before the call is made, where it is a promise. Rejects with UpstreamError `overBudget`. */
  open(purchase: Purchase): Bill | Promise<Bill>;
}

const FREE_BILL: Bill = { terms: null, end: () => null };

/** Nobody keeps count. */
export const FREE: Billing = { open: () => FREE_BILL };
