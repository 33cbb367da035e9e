import type { CostEstimate } from '../core/cost.ts';
import type { Decision, DecisionAttempt, Listed, PlannedStep } from '../core/decision.ts';
import { wordsToKeep } from '../core/failure.ts';
import { type AttemptRecord, callsOf, type Outcome } from '../core/outcome.ts';
import type { LeftOut, PlanStep } from '../core/plan.ts';
import { answeredBy, codeOf, partsOf, statusOf, usageOf } from './request-line.ts';

/** Of each list: what a fleet of hundreds of nodes would add tells a person nothing more. */
const MOST_ITEMS = 32;
const MOST_CHARACTERS = 300;

/** What is kept of a request: a copy, so that nothing of the request or its targets stays in memory with it. */
export function decisionOf(outcome: Outcome, nowWallMs: number): Decision {
  const { request, plan } = outcome;
  const by = answeredBy(outcome);
  const usage = usageOf(outcome);
  return {
    requestId: request.id,
    atWallMs: nowWallMs - outcome.durationMs,
    outcome: outcome.kind,
    status: statusOf(outcome),
    code: codeOf(outcome) ?? null,
    stream: request.stream,
    modelAsked: clipped(request.requestedModel),
    modelAnswered: modelOf(outcome, by),
    targetId: by?.targetId ?? null,
    place: by?.place ?? null,
    reason: by === null ? null : clipped(by.reason),
    durationMs: outcome.durationMs,
    firstContentMs: partsOf(outcome)[0]?.firstContentMs ?? null,
    queuedMs: outcome.attempts.reduce((sum, attempt) => sum + attempt.queuedMs, 0),
    promptTokens: { estimated: plan?.promptTokens ?? null, reported: usage?.promptTokens ?? null },
    cachedTokens: { estimated: expectedCached(outcome, by), reported: usage?.cachedTokens ?? null },
    completionTokens: usage?.completionTokens ?? null,
    promptCut: by?.promptCut === true,
    steps: listed(plan?.steps ?? [], plannedStep),
    leftOut: listed(outcome.leftOut, leftOut),
    attempts: listed(outcome.attempts, attemptOf),
    calls: callsOf(outcome.attempts),
  };
}

function modelOf(outcome: Outcome, by: AttemptRecord | null): string | null {
  const said = 'model' in outcome && outcome.model !== '' ? outcome.model : by?.model;
  return said === undefined ? null : clipped(said);
}

/** Of the step that answered; a target that the first plan did not have was not foreseen. */
function expectedCached({ plan }: Outcome, by: AttemptRecord | null): number | null {
  const step = plan?.steps.find(({ target, model }) => target.id === by?.targetId && model === by.model);
  return step?.estimate?.cachedTokens ?? null;
}

function plannedStep({ target, model, waits, reason, estimate }: PlanStep): PlannedStep {
  return {
    targetId: target.id,
    place: target.place,
    model: clipped(model),
    waits,
    reason: clipped(reason),
    estimate: estimate === null ? null : copyOf(estimate),
  };
}

function copyOf({ terms, seconds, firstTokenSeconds, cachedTokens, priceNanoUsd, measured }: CostEstimate) {
  const { load, wait, prefill, decode, network } = terms;
  return {
    terms: { load, wait, prefill, decode, network },
    seconds,
    firstTokenSeconds,
    cachedTokens,
    priceNanoUsd,
    measured,
  };
}

function leftOut({ targetId, kind, reason }: LeftOut) {
  return { targetId, kind, reason: clipped(reason) };
}

function messageOf({ failure, failureMessage, status }: AttemptRecord): string | null {
  if (failure === null || failureMessage === null) return null;
  return clipped(wordsToKeep(failure, failureMessage, status));
}

function attemptOf(attempt: AttemptRecord): DecisionAttempt {
  const { targetId, place, model, failure, status, queuedMs, durationMs, firstContentMs } = attempt;
  return {
    targetId,
    place,
    model: clipped(model),
    failure,
    failureMessage: messageOf(attempt),
    status,
    queuedMs,
    durationMs,
    firstContentMs,
  };
}

function listed<Item, Kept>(items: readonly Item[], keep: (item: Item) => Kept): Listed<Kept> {
  return { items: items.slice(0, MOST_ITEMS).map((item) => keep(item)), total: items.length };
}

function clipped(text: string): string {
  if (text.length <= MOST_CHARACTERS) return text;
  // Through bytes: a slice would keep the whole text alive behind it.
  return `${Buffer.from(text.slice(0, MOST_CHARACTERS - 1)).toString()}…`;
}
