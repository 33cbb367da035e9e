import type { StreamReply, UpstreamReply, WholeReply } from '../core/adapter.ts';
import type { SpendingTerms } from '../core/billing.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import { UpstreamError, withoutSecret } from '../core/failure.ts';
import type { AttemptRecord } from '../core/outcome.ts';
import type { PlanStep } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';
import type { Lease } from './lease.ts';

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

export interface FailedAttempt {
  readonly kind: 'failed';
  readonly error: UpstreamError;
  readonly record: AttemptRecord;
}

export type AttemptResult = Committed | FailedAttempt;

/** One timed try of one target, up to the commit point. Never rejects. */
export async function runAttempt(
  request: InferenceRequest,
  step: PlanStep,
  lease: Lease,
  cancellation: Cancellation,
  clock: Clock,
  onFirstContent: (afterMs: number) => void,
  terms: SpendingTerms | null = null,
): Promise<AttemptResult> {
  const startedAtMs = clock.nowMs();
  let opened: UpstreamReply | null = null;
  /** How long it took to the first content, as the adapter told; null: it did not. */
  let begunAfterMs: number | null = null;
  const begins = (): void => {
    if (begunAfterMs !== null) return;
    begunAfterMs = clock.nowMs() - startedAtMs;
    onFirstContent(begunAfterMs);
  };
  let droppedFields: readonly string[] = [];
  const told = () => ({ ...limitOf(request, terms), ...(droppedFields.length === 0 ? {} : { droppedFields }) });
  try {
    const call = {
      target: lease.call.target,
      model: step.model,
      modelLoaded: step.modelLoaded,
      request,
      terms,
      onFirstContent: begins,
      onNotSentOn: (fields: readonly string[]) => {
        droppedFields = fields;
      },
    };
    opened = await lease.choice.entry.adapter.call(call, cancellation);
    if (opened.kind === 'whole') {
      begins();
      const record = recordOf(step, lease, clock.nowMs() - startedAtMs, null);
      return { kind: 'whole', reply: opened, record: { ...record, ...told(), firstContentMs: begunAfterMs } };
    }
    const { held, ended } = await holdUntilContent(opened);
    begins();
    return {
      kind: 'stream',
      reply: opened,
      held,
      ended,
      record: { ...recordOf(step, lease, clock.nowMs() - startedAtMs, null), ...told() },
    };
  } catch (thrown) {
    if (opened?.kind === 'stream') opened.cancel();
    const error = withoutSecret(asUpstreamError(thrown), lease.call.target.apiKey);
    return { kind: 'failed', error, record: recordOf(step, lease, clock.nowMs() - startedAtMs, error) };
  }
}

/** The client did not ask for a limit, and is told of the one that its budget set. */
function limitOf({ prompt }: InferenceRequest, terms: SpendingTerms | null): Pick<AttemptRecord, 'answerLimit'> {
  const limit = terms?.answerTokens ?? null;
  return limit === null || prompt.maxOutputTokens !== null ? {} : { answerLimit: limit };
}

/** It was decided not to make the call. */
export function notMade(step: PlanStep, lease: Lease, error: UpstreamError): FailedAttempt {
  return { kind: 'failed', error, record: recordOf(step, lease, 0, error) };
}

function recordOf(step: PlanStep, lease: Lease, durationMs: number, failure: UpstreamError | null): AttemptRecord {
  const { target } = lease.call;
  return {
    targetId: target.id,
    adapterKind: target.adapterKind,
    place: target.place,
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
  const first = await reply.next();
  // Most streams begin with their content: nothing to collect.
  if (first?.hasContent === true) return { held: first.bytes, ended: false };
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (let batch = first; batch !== null; batch = await reply.next()) {
    pieces.push(batch.bytes);
    length += batch.bytes.length;
    if (batch.hasContent) return { held: Buffer.concat(pieces), ended: false };
    if (length > MAX_HELD_BYTES) throw tooMuchHeld();
  }
  return { held: Buffer.concat(pieces), ended: true };
}

/** Start-up events that may come before the first content; real servers send a few hundred bytes. */
export const MAX_HELD_BYTES = 1_048_576;

export function tooMuchHeld(): UpstreamError {
  return new UpstreamError('malformed', `more than ${MAX_HELD_BYTES} bytes of events came before the first content`);
}

/** Adapters promise UpstreamError; anything else is a bug of ours and must fail this request alone. */
export function asUpstreamError(thrown: unknown): UpstreamError {
  if (thrown instanceof UpstreamError) return thrown;
  const words = thrown instanceof Error ? thrown.message : String(thrown);
  return new UpstreamError('failed', `internal error: ${words}`, { cause: thrown });
}
