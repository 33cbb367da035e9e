import type { Outcome, OutcomeSink } from '../core/outcome.ts';

/** When a request has ended it no longer counts as one that runs, and what it used counts in place of what was expected. */
export const leaseSettler: OutcomeSink = {
  record(outcome) {
    const { rateLease } = outcome.request;
    if (rateLease === null) return;
    const tokens = usedTokens(outcome);
    if (tokens !== null) rateLease.settle(tokens);
    rateLease.release();
  },
};

/** Prompt and answer together; null: nobody counted them. */
function usedTokens(outcome: Outcome): number | null {
  if (outcome.kind === 'refused' || outcome.kind === 'exhausted') return 0;
  if (outcome.usage !== null) return outcome.usage.promptTokens + outcome.usage.completionTokens;
  return outcome.by === null ? 0 : null;
}
