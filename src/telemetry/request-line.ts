import type { Caller } from '../core/caller.ts';
import { counted } from '../core/counted.ts';
import type { AttemptRecord, Outcome } from '../core/outcome.ts';
import type { LeftOut } from '../core/plan.ts';

/** nginx's number for a client that went away: no status was ever sent. */
const CLIENT_WENT_AWAY = 499;

/** The status that the client saw. A cut stream had already begun with 200. */
export function statusOf(outcome: Outcome): number {
  if (outcome.kind === 'served' || outcome.kind === 'cut') return 200;
  return outcome.kind === 'abandoned' ? CLIENT_WENT_AWAY : outcome.clientStatus;
}

/** The structured form: what a log store can search. Never holds a body or a credential. */
export function requestFields(outcome: Outcome): Record<string, unknown> {
  const { request } = outcome;
  const by = answeredBy(outcome);
  const parts = partsOf(outcome);
  return {
    request_id: request.id,
    ...callerFields(request.caller),
    outcome: outcome.kind,
    status: statusOf(outcome),
    code: codeOf(outcome),
    operation: request.operation,
    stream: request.stream,
    model_asked: request.requestedModel,
    model_answered: 'model' in outcome ? outcome.model : undefined,
    target: by?.targetId,
    provider: by?.adapterKind,
    place: by?.place,
    reason: by?.reason,
    continued: parts.length > 1 ? parts.length - 1 : undefined,
    duration_ms: rounded(outcome.durationMs),
    first_content_ms: rounded(parts[0]?.firstContentMs ?? null),
    queued_ms: rounded(outcome.attempts.reduce((sum, attempt) => sum + attempt.queuedMs, 0)),
    ...usageFields(outcome),
    prompt_cut: by?.promptCut === true ? true : undefined,
    answer_limit: by?.answerLimit,
    dropped_fields: by?.droppedFields,
    attempts: outcome.attempts.map(attemptFields),
    left_out: outcome.leftOut.length === 0 ? undefined : outcome.leftOut.map(leftOutFields),
  };
}

/** Whose it is; nothing while no key is needed. */
export function callerFields({ keyId, organisationId, projectId }: Caller): Record<string, unknown> {
  return keyId === null ? {} : { key_id: keyId, organisation: organisationId, project: projectId };
}

/** The short form for a person at a terminal, without the time: `ok 200 qwen2.5-7b on lmstudio (local) 834 ms, 57 tokens`. */
export function requestSentence(outcome: Outcome): string {
  const by = answeredBy(outcome);
  const model = ('model' in outcome ? outcome.model : '') || by?.model || outcome.request.requestedModel || 'no model';
  const where = by === null ? '' : ` on ${by.targetId} (${by.place})`;
  const details = [`${Math.round(outcome.durationMs)} ms`];
  const usage = usageOf(outcome);
  if (usage !== null) details.push(counted(usage.promptTokens + usage.completionTokens, 'token'));
  const code = codeOf(outcome);
  if (code !== undefined) details.push(code);
  const failures = outcome.attempts.filter((attempt) => attempt.failure !== null && attempt !== by);
  const after = partsOf(outcome).length > 1 ? 'continued after' : 'after';
  if (failures.length > 0) details.push(`${after} ${failures.map((a) => `${a.targetId}: ${a.failure}`).join(', ')}`);
  return `${WORDS[outcome.kind]} ${statusOf(outcome)} ${model}${where} ${details.join(', ')}`;
}

const WORDS: Readonly<Record<Outcome['kind'], string>> = {
  served: 'ok',
  cut: 'cut',
  abandoned: 'gone',
  exhausted: 'failed',
  refused: 'refused',
};

export function answeredBy(outcome: Outcome): AttemptRecord | null {
  return 'by' in outcome ? outcome.by : null;
}

/** Those who gave a part of the answer: one, unless it was continued by another (`stream_recovery`). */
export function partsOf({ attempts }: Outcome): readonly AttemptRecord[] {
  return attempts.filter((attempt) => attempt.firstContentMs !== null);
}

export function codeOf(outcome: Outcome): string | undefined {
  if (outcome.kind === 'cut') return outcome.failure;
  return 'clientCode' in outcome ? outcome.clientCode : undefined;
}

export function usageOf(outcome: Outcome) {
  return 'usage' in outcome ? outcome.usage : null;
}

function usageFields(outcome: Outcome): Record<string, unknown> {
  const usage = usageOf(outcome);
  if (usage === null) return {};
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    cached_tokens: usage.cachedTokens,
    reasoning_tokens: usage.reasoningTokens,
    cost_nano_usd: usage.costNanoUsd ?? undefined,
  };
}

function attemptFields(attempt: AttemptRecord): Record<string, unknown> {
  return {
    target: attempt.targetId,
    model: attempt.model,
    failure: attempt.failure ?? undefined,
    message: attempt.failureMessage ?? undefined,
    status: attempt.status ?? undefined,
    queued_ms: rounded(attempt.queuedMs),
    duration_ms: rounded(attempt.durationMs),
    first_content_ms: rounded(attempt.firstContentMs),
  };
}

function leftOutFields(leftOut: LeftOut): Record<string, unknown> {
  return { target: leftOut.targetId, place: leftOut.place, kind: leftOut.kind, reason: leftOut.reason };
}

function rounded(milliseconds: number | null): number | undefined {
  return milliseconds === null ? undefined : Math.round(milliseconds * 10) / 10;
}
