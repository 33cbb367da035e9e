import type { CallEnd } from '../../core/billing.ts';
import type { FailureKind } from '../../core/failure.ts';
import type { BilledTokens, ClientOutcome, EndState } from '../../core/ledger.ts';
import type { Usage } from '../../core/usage.ts';
import { countedTokens } from './call-caps.ts';

/** Whoever says so has not begun with the prompt. */
const NOT_BEGUN: ReadonlySet<FailureKind> = new Set([
  'unreachable',
  'overloaded',
  'outOfQuota',
  'badCredentials',
  'modelMissing',
  'modelLoading',
  'contextTooLong',
  'overBudget',
  'unbillable',
  'rejected',
]);

const FIRST_ERROR_STATUS = 300;

/**
 * What is known of a call that has ended. Where a server broke off without a word it may have written, and charged, a
 * whole answer: nobody can say. Where the client left, or the server reports nothing, what came counts.
 */
export function stateOf({ failure, status, usage, producedTokens, neverMade }: CallEnd): EndState {
  if (neverMade) return 'voided';
  if (failure === null || usage !== null || producedTokens > 0) return 'settled';
  if (NOT_BEGUN.has(failure) || (status !== null && status >= FIRST_ERROR_STATUS)) return 'voided';
  return failure === 'cancelled' ? 'settled' : 'unknown';
}

/**
 * Its provider may charge more than was seen, up to the longest answer there could be: it did not say what it used, or
 * not of the whole answer, since some servers report what was used so far with each chunk.
 */
export function mayHaveCostMore(end: CallEnd): boolean {
  const { failure, usage, isComplete, neverMade } = end;
  if (neverMade || (usage !== null && isComplete)) return false;
  return failure === 'cancelled' || stateOf(end) === 'settled';
}

/** As the client saw it, as far as one call can tell: another may have answered in its place. */
export function outcomeOf({ failure, producedTokens }: CallEnd): ClientOutcome {
  if (failure === null) return 'served';
  if (failure === 'cancelled') return 'abandoned';
  return producedTokens > 0 ? 'cut' : 'failed';
}

/** What was used: as the server reported it, else as it was seen. */
export function usageOf({ usage, producedTokens }: CallEnd, promptTokens: number): Usage {
  return (
    usage ?? {
      promptTokens: Math.ceil(promptTokens),
      completionTokens: producedTokens,
      cachedTokens: null,
      reasoningTokens: 0,
      costNanoUsd: null,
    }
  );
}

/** Fit for the ledger, whatever a server counted: no part is more than the whole. */
export function tokensOf(usage: Usage): BilledTokens {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens, parts } = usage;
  const inputTokens = countedTokens(promptTokens);
  const outputTokens = countedTokens(completionTokens);
  const ofInput = (value: number | null | undefined): number => Math.min(inputTokens, countedTokens(value));
  const ofOutput = (value: number | null | undefined): number => Math.min(outputTokens, countedTokens(value));
  return {
    inputTokens,
    outputTokens,
    cachedInputTokens: ofInput(cachedTokens),
    reasoningTokens: ofOutput(reasoningTokens),
    imageTokens: countedTokens(ofInput(parts?.imageInputTokens) + ofOutput(parts?.imageOutputTokens)),
    audioInputTokens: ofInput(parts?.audioInputTokens),
    audioOutputTokens: ofOutput(parts?.audioOutputTokens),
  };
}
