import type { UpstreamReply } from '../core/adapter.ts';
import type { CallEnd } from '../core/billing.ts';
import type { UpstreamError } from '../core/failure.ts';

/** For the bill. `reply`: as far as it came; null: it did not begin. */
export function callEnd(reply: UpstreamReply | null, error: UpstreamError | null): CallEnd {
  const usage = reply?.usage ?? null;
  return {
    failure: error?.kind ?? null,
    status: error?.status ?? null,
    usage,
    model: reply?.model ?? '',
    isComplete: reply !== null && (reply.kind === 'whole' || reply.isComplete),
    producedTokens: usage?.completionTokens ?? (reply === null ? 0 : reply.producedTokens),
  };
}
