import type { StreamReply, UpstreamReply, WholeReply } from '../core/adapter.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { Lease } from './load.ts';

/** An attempt past its commit point: from here the reply belongs to this target. */
export type Committed =
  | { readonly kind: 'whole'; readonly reply: WholeReply; readonly record: AttemptRecord }
  | {
      readonly kind: 'stream';
      readonly reply: StreamReply;
      /** What was held back until the first real content, that content included. */
      readonly held: Uint8Array;
      /** The stream has already ended properly, without content. */
      readonly ended: boolean;
      readonly record: AttemptRecord;
    };

export type AttemptResult =
  | Committed
  | { readonly kind: 'failed'; readonly error: UpstreamError; readonly record: AttemptRecord };

/** One timed try of one target, up to the commit point. Never rejects. */
export async function runAttempt(
  request: InferenceRequest,
  step: PlanStep,
  lease: Lease,
  cancellation: Cancellation,
  clock: Clock,
): Promise<AttemptResult> {
  const startedAtMs = clock.nowMs();
  let opened: UpstreamReply | null = null;
  try {
    const call = { target: step.target, model: step.model, modelLoaded: step.modelLoaded, request };
    opened = await lease.choice.entry.adapter.call(call, cancellation);
    if (opened.kind === 'whole') {
      return { kind: 'whole', reply: opened, record: recordOf(step, lease, clock.nowMs() - startedAtMs, null) };
    }
    const { held, ended } = await holdUntilContent(opened);
    return {
      kind: 'stream',
      reply: opened,
      held,
      ended,
      record: recordOf(step, lease, clock.nowMs() - startedAtMs, null),
    };
  } catch (thrown) {
    if (opened?.kind === 'stream') opened.cancel();
    const error = asUpstreamError(thrown);
    return { kind: 'failed', error, record: recordOf(step, lease, clock.nowMs() - startedAtMs, error) };
  }
}

function recordOf(step: PlanStep, lease: Lease, durationMs: number, failure: UpstreamError | null): AttemptRecord {
  return {
    targetId: step.target.id,
    adapterKind: step.target.adapterKind,
    place: step.target.place,
    model: step.model,
    reason: step.reason,
    failure: failure === null ? null : failure.kind,
    failureMessage: failure === null ? null : failure.message,
    status: failure === null ? null : failure.status,
    queuedMs: lease.queuedMs,
    durationMs,
    firstContentMs: failure === null ? durationMs : null,
  };
}

/** The commit point: start-up events are held back, so that until the first real content failover is invisible. */
async function holdUntilContent(reply: StreamReply): Promise<{ held: Uint8Array; ended: boolean }> {
  let held: Uint8Array | null = null;
  for (;;) {
    const batch = await reply.next();
    if (batch === null) return { held: held ?? new Uint8Array(0), ended: true };
    held = held === null ? batch.bytes : Buffer.concat([held, batch.bytes]);
    if (batch.hasContent) return { held, ended: false };
  }
}

/** Adapters promise UpstreamError; anything else is a bug of ours and must fail this request alone. */
export function asUpstreamError(thrown: unknown): UpstreamError {
  if (thrown instanceof UpstreamError) return thrown;
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return new UpstreamError('failed', `internal error: ${words}`, { cause: thrown });
}
