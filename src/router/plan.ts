import type { LeftOut, NoRoute, PlanStep, RoutePlan } from '../core/plan.ts';
import type { TargetId } from '../core/target.ts';
import { type ModelRules, readAskedModel } from './models.ts';
import { noRoute } from './no-route.ts';
import type { Candidate, FirstTokenLimit, RankedCandidate, Strategy } from './strategies/strategy.ts';
import { type PlanRequest, type Question, surveyTargets } from './survey.ts';
import type { TargetEntry } from './target-entry.ts';

export interface PlanOptions extends ModelRules {
  readonly strategy: Strategy;
  /** Upstream calls in all, the first included, ≥ 1. */
  readonly maxAttempts: number;
  /** How long the first content may take before other targets are worth their price, ms; null: no limit. The request's own counts before it. */
  readonly maxFirstTokenMs: number | null;
  /** Models whose requests go to the cloud now because local targets were too slow: they come back only well below the limit. */
  readonly spilling: ReadonlySet<string>;
}

/** So far below the limit a prediction must be before requests come back, that the boundary does not flap. */
const BACK_BELOW = 0.8;

/** What has become of the request since its first plan was made. */
export interface Progress {
  /** Targets that it was sent to: they are neither steps nor left out. */
  readonly tried: ReadonlySet<TargetId>;
  /** How much of the limit for the first token is used up, ms, ≥ 0. */
  readonly waitedMs: number;
}

export type PlanResult = { readonly plan: RoutePlan } | { readonly noRoute: NoRoute };

/**
 * Who could serve this request, in which order, and why not the others? Pure: reads the entries, changes nothing,
 * does no I/O. Each target ends up as a step or with a reason.
 */
export function planRoute(
  request: PlanRequest,
  entries: readonly TargetEntry[],
  options: PlanOptions,
  nowMs: number,
  { tried, waitedMs }: Progress = NOTHING_YET,
): PlanResult {
  const asked = readAskedModel(request.requestedModel, options, entries);
  const strict = request.fence.strictModel || options.standIn === 'never';
  const question = {
    request,
    asked,
    strict,
    standIn: strict ? 'never' : options.standIn,
    nowMs,
    trustGuesses: true,
  } as const;
  const limits = { firstToken: firstTokenLimit(request, options, waitedMs) };
  const survey = surveyTargets(question, entries, (rest) => rest === null);
  const fresh = survey.candidates.filter(({ entry }) => !tried.has(entry.target.id));
  const steps = options.strategy.rank(fresh, limits).map((ranked) => toStep(ranked, false));
  let { leftOut }: { leftOut: readonly LeftOut[] } = survey;
  const search = { question, entries, strategy: options.strategy, tried };
  // Better a target that has just failed than nobody: it may be back, and the client loses nothing.
  if (survey.someRest) leftOut = appendResting(steps, leftOut, search);
  if (steps.length === 0 && survey.someGuess) leftOut = appendGuessed(steps, leftOut, search);
  const [first, ...rest] = steps;
  if (first === undefined) return { noRoute: noRoute(request, asked, entries, leftOut, nowMs) };
  const spills = limits.firstToken !== null && isSpill(first, fresh);
  const promptTokens = promptTokensAt(first, entries, request);
  return { plan: { steps: [first, ...rest], leftOut, promptTokens, spills, maxAttempts: options.maxAttempts } };
}

const NOTHING_YET: Progress = { tried: new Set(), waitedMs: 0 };

/** Null: no limit. */
function firstTokenLimit(request: PlanRequest, options: PlanOptions, waitedMs: number): FirstTokenLimit | null {
  const { fence, requestedModel } = request;
  const usualMs = fence.route?.maxFirstTokenMs ?? options.maxFirstTokenMs;
  const setMs = fence.maxFirstTokenMs ?? usualMs;
  if (setMs === null) return null;
  // A limit that one request brings along has no boundary that others could flap at.
  const comesBack = fence.maxFirstTokenMs === null && options.spilling.has(requestedModel.toLowerCase());
  const nowMs = Math.max(0, (comesBack ? setMs * BACK_BELOW : setMs) - waitedMs);
  return { setSeconds: setMs / 1000, nowSeconds: nowMs / 1000 };
}

function isSpill(first: PlanStep, candidates: readonly Candidate[]): boolean {
  return first.target.place === 'cloud' && candidates.some(({ entry }) => entry.target.place === 'local');
}

function promptTokensAt(
  { target, model }: PlanStep,
  entries: readonly TargetEntry[],
  { prompt }: PlanRequest,
): number | null {
  const entry = entries.find((each) => each.target === target);
  if (entry === undefined) return null;
  return entry.meter(model).promptTokens(prompt, entry.book.usual(target.place, model).bytesPerToken);
}

/** Where further steps are looked for. */
interface Search {
  readonly question: Question;
  readonly entries: readonly TargetEntry[];
  readonly strategy: Strategy;
  readonly tried: ReadonlySet<TargetId>;
}

/** Adds the targets that rest but may be asked when all others fail. Returns what is then still left out. */
function appendResting(
  steps: PlanStep[],
  leftOut: readonly LeftOut[],
  { question, entries, strategy, tried }: Search,
): readonly LeftOut[] {
  const awake = surveyTargets(question, entries, (rest) => rest === null || rest.lastResort);
  const planned = new Set([...tried, ...steps.map((step) => step.target.id)]);
  const all = strategy.rank(
    awake.candidates.filter(({ entry }) => !planned.has(entry.target.id)),
    { firstToken: null },
  );
  const affordable = all.filter(({ candidate: { entry } }) => mayBeAsked(entry));
  // The last candidate is never taken away: one attempt a request is no more than what clients ask for.
  const hope = steps.length === 0 && tried.size === 0 && affordable.length === 0 ? all.slice(0, 1) : [];
  for (const ranked of [...affordable, ...hope]) {
    steps.push({ ...toStep(ranked, true), lastHope: hope.includes(ranked) });
    planned.add(ranked.candidate.entry.target.id);
  }
  return leftOut.filter((left) => !planned.has(left.targetId));
}

/** Better a target that probably keeps only a part of the prompt than nobody: what was seen of it may be over. */
function appendGuessed(
  steps: PlanStep[],
  leftOut: readonly LeftOut[],
  { question, entries, strategy, tried }: Search,
): readonly LeftOut[] {
  const all = surveyTargets({ ...question, trustGuesses: false }, entries, (rest) => rest === null);
  const candidates = all.candidates.filter(({ entry }) => !tried.has(entry.target.id));
  for (const ranked of strategy.rank(candidates, { firstToken: null })) steps.push(toStep(ranked, false));
  const planned = new Set(steps.map((step) => step.target.id));
  return leftOut.filter((left) => !planned.has(left.targetId));
}

/** Only a target that is out of rotation is asked on its retry budget; one that cools down for a guessed time is healthy. */
function mayBeAsked({ breaker, retryBudget }: TargetEntry): boolean {
  return breaker.name === 'closed' || !retryBudget.isSpent;
}

function toStep({ candidate, waits, waitAtMostSeconds, why }: RankedCandidate, isLast: boolean): PlanStep {
  const { entry, match, cost } = candidate;
  return {
    target: entry.target,
    model: match.model,
    modelLoaded: match.loaded,
    waits: waits && !isLast,
    waitAtMostMs: waitAtMostSeconds === null ? null : waitAtMostSeconds * 1000,
    resting: isLast && entry.breaker.name !== 'closed',
    lastHope: false,
    estimate: cost,
    reason: `${isLast ? 'all others failed' : why}; ${match.words}`,
  };
}
