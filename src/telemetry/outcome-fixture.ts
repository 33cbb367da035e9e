import { ANYONE } from '../core/caller.ts';
import type { AttemptRecord, Cut, Exhausted, Served } from '../core/outcome.ts';
import { NO_PROMPT } from '../core/prompt.ts';
import type { InferenceRequest } from '../core/request.ts';

/** Outcomes for the tests of telemetry. */
export function someRequest(changes: Partial<InferenceRequest> = {}): InferenceRequest {
  return {
    id: 'req-1',
    operation: 'chat',
    requestedModel: 'gpt-4o-mini',
    stream: false,
    includeUsage: false,
    rawBody: new TextEncoder().encode('{"model":"gpt-4o-mini"}'),
    body: {},
    continues: false,
    fence: { place: null, strictModel: false, route: null, maxFirstTokenMs: null },
    prompt: NO_PROMPT,
    hops: 0,
    traceparent: null,
    caller: ANYONE,
    rateLease: null,
    clientSignal: new AbortController().signal,
    acceptedAtMs: 0,
    ...changes,
  };
}

export function someAttempt(changes: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    targetId: 'lmstudio',
    adapterKind: 'lm-studio',
    place: 'local',
    model: 'qwen2.5-7b',
    reason: 'local first',
    failure: null,
    failureMessage: null,
    status: 200,
    queuedMs: 0,
    durationMs: 834,
    firstContentMs: 120,
    ...changes,
  };
}

export function served(changes: Partial<Served> = {}): Served {
  const by = changes.by ?? someAttempt();
  return {
    kind: 'served',
    request: someRequest(),
    attempts: [by],
    leftOut: [],
    plan: null,
    durationMs: 834.04,
    by,
    model: 'qwen2.5-7b',
    usage: { promptTokens: 50, completionTokens: 7, cachedTokens: 10, reasoningTokens: 0, costNanoUsd: null },
    ...changes,
  };
}

export const failedAttempt = someAttempt({
  failure: 'unreachable',
  failureMessage: 'connection refused',
  status: null,
  firstContentMs: null,
});

export function cut(): Cut {
  return { ...served({ usage: null }), kind: 'cut', failure: 'truncated' };
}

export function exhausted(): Exhausted {
  return {
    kind: 'exhausted',
    request: someRequest(),
    attempts: [failedAttempt],
    leftOut: [{ kind: 'down', targetId: 'openrouter', place: 'cloud', reason: 'no key' }],
    plan: null,
    durationMs: 5,
    clientStatus: 503,
    clientCode: 'target_unreachable',
  };
}
