import type { LeftOut, LeftOutKind, NoRoute, PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import type { TargetId } from '../core/target.ts';
import { isOnTrial } from './breaker.ts';
import { estimateCost } from './cost.ts';
import { whyUnfit } from './fitness.ts';
import type { ModelMeter } from './learned/model-meter.ts';
import {
  type AskedModel,
  isPinnedTo,
  loadingMatch,
  type MatchResult,
  type ModelMatch,
  type ModelRules,
  matchCloud,
  matchLocal,
  readAskedModel,
  standIns,
} from './models.ts';
import { noRoute } from './no-route.ts';
import { type Resting, restingReason } from './resting.ts';
import type { Candidate, FirstTokenLimit, RankedCandidate, Strategy } from './strategies/strategy.ts';
import { slotUse, type TargetEntry } from './target-entry.ts';

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

/** What of a request planning looks at. */
export type PlanRequest = Pick<InferenceRequest, 'operation' | 'requestedModel' | 'fence' | 'prompt'>;

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
  // Better a target that has just failed than nobody: it may be back, and the client loses nothing.
  if (survey.someRest) leftOut = appendResting(steps, question, entries, options.strategy, leftOut, tried);
  if (steps.length === 0 && survey.someGuess) {
    leftOut = appendGuessed(steps, question, entries, options.strategy, leftOut, tried);
  }
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

/** Adds the targets that rest but may be asked when all others fail. Returns what is then still left out. */
function appendResting(
  steps: PlanStep[],
  question: Question,
  entries: readonly TargetEntry[],
  strategy: Strategy,
  leftOut: readonly LeftOut[],
  tried: ReadonlySet<TargetId>,
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
  question: Question,
  entries: readonly TargetEntry[],
  strategy: Strategy,
  leftOut: readonly LeftOut[],
  tried: ReadonlySet<TargetId>,
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

interface Question {
  readonly request: PlanRequest;
  readonly asked: AskedModel;
  readonly strict: boolean;
  readonly standIn: ModelRules['standIn'];
  readonly nowMs: number;
  /** Whether a context length counts that was only seen. */
  readonly trustGuesses: boolean;
}

interface Survey {
  readonly candidates: Candidate[];
  readonly leftOut: LeftOut[];
  /** Local targets in rotation that lack the name: a stand-in may answer there. */
  readonly lacking: { readonly entry: TargetEntry; readonly reason: string }[];
  /** A local target in rotation has the name. */
  localHasIt: boolean;
  /** Some target has the name, in rotation or not. */
  anyHasIt: boolean;
  /** Some target was left out that may be asked as a last resort. */
  someRest: boolean;
  /** Some target was left out for what is only a guess. */
  someGuess: boolean;
}

function surveyTargets(
  question: Question,
  entries: readonly TargetEntry[],
  mayServe: (rest: Resting | null) => boolean,
): Survey {
  const survey: Survey = {
    candidates: [],
    leftOut: [],
    lacking: [],
    localHasIt: false,
    anyHasIt: false,
    someRest: false,
    someGuess: false,
  };
  for (const entry of entries) {
    const fenced = fencedOut(question.request, question.asked, entry);
    if (fenced === null) surveyTarget(survey, question, entry, mayServe);
    else leaveOut(survey, entry, 'fenced', fenced);
  }
  addStandIns(survey, question);
  return survey;
}

function surveyTarget(
  survey: Survey,
  question: Question,
  entry: TargetEntry,
  mayServe: (rest: Resting | null) => boolean,
): void {
  const isLocal = entry.target.place === 'local';
  const result = matchTarget(question, entry);
  const hasIt = 'match' in result && result.match.how === 'named';
  if (hasIt) survey.anyHasIt = true;
  const rest = restingReason(entry, question.nowMs);
  if (!mayServe(rest)) {
    if (rest?.lastResort === true) survey.someRest = true;
    // What it could not have answered anyway is no reason to ask again later.
    const lacksIt = 'leftOut' in result && !isLocal && rest?.kind === 'cooling';
    if (rest !== null)
      leaveOut(survey, entry, lacksIt ? 'no-model' : rest.kind, lacksIt ? result.leftOut : rest.reason);
  } else if ('match' in result) {
    if (hasIt && isLocal) survey.localHasIt = true;
    // A server that is loading answers late: others first.
    addCandidate(survey, question, entry, result.match, result.match.how === 'loading' || isWarming(entry));
  } else if (isLocal) survey.lacking.push({ entry, reason: result.leftOut });
  else leaveOut(survey, entry, 'no-model', result.leftOut);
}

function matchTarget({ request, asked, strict }: Question, entry: TargetEntry): MatchResult {
  if (entry.target.adapterKind === 'auto') return { leftOut: 'it is not known yet which kind of server it is' };
  if (!entry.adapter.operations.has(request.operation)) return { leftOut: `cannot do ${request.operation} requests` };
  if (entry.target.place === 'cloud') return matchCloud(entry, asked, strict);
  const result = matchLocal(entry, asked);
  const warming = entry.snapshot?.warming === true;
  if ('match' in result || !warming || (strict && asked.name !== '')) return result;
  return { match: loadingMatch(entry.snapshot?.models[0]?.id ?? asked.name) };
}

function leaveOut(survey: Survey, entry: TargetEntry, kind: LeftOutKind, reason: string): void {
  survey.leftOut.push({ kind, targetId: entry.target.id, place: entry.target.place, reason });
}

function fencedOut({ fence }: { fence: RequestFence }, asked: AskedModel, entry: TargetEntry): string | null {
  if (fence.place !== null && fence.place !== entry.target.place) {
    return `the request may only go to ${fence.place} targets`;
  }
  return isPinnedTo(entry, asked.pin) ? null : `the request is pinned to ${asked.pin}`;
}

/** Local targets without the name: may one of their models stand in? */
function addStandIns(survey: Survey, question: Question): void {
  const { asked, standIn } = question;
  if (survey.lacking.length === 0) return;
  const wanted = standIn === 'always' || (standIn === 'unknown' && !survey.anyHasIt);
  const allowed = asked.name === '' || (wanted && !survey.localHasIt);
  for (const { entry, reason } of survey.lacking) {
    const { loaded, toLoad } = standIns(entry, asked);
    const choice = allowed ? (leastBusy(entry, loaded) ?? toLoad[0]) : undefined;
    if (choice !== undefined) addCandidate(survey, question, entry, choice, !choice.loaded);
    else leaveOut(survey, entry, 'no-model', allowed ? `${reason}, and it has no chat model` : reason);
  }
}

function leastBusy(entry: TargetEntry, matches: readonly ModelMatch[]): ModelMatch | undefined {
  let best = matches[0];
  let bestLoad = Number.POSITIVE_INFINITY;
  if (matches.length < 2) return best;
  for (const match of matches) {
    const { busy, slots } = slotUse(entry, match.info);
    if (busy / slots < bestLoad) {
      best = match;
      bestLoad = busy / slots;
    }
  }
  return best;
}

function addCandidate(
  survey: Survey,
  question: Question,
  entry: TargetEntry,
  match: ModelMatch,
  lastResort: boolean,
): void {
  const meter = entry.meter(match.model);
  const { bytesPerToken } = entry.book.usual(entry.target.place, match.model);
  const unfit = whyUnfit(meter, match, question.request.prompt, bytesPerToken, question.nowMs);
  if (unfit === null || (unfit.isGuess && !question.trustGuesses)) {
    survey.candidates.push(candidate(question, entry, meter, match, lastResort));
    return;
  }
  if (unfit.isGuess) survey.someGuess = true;
  leaveOut(survey, entry, unfit.kind, unfit.reason);
}

const ON_TRIAL = { busy: 1, slots: 1 };

function candidate(
  question: Question,
  entry: TargetEntry,
  meter: ModelMeter,
  match: ModelMatch,
  lastResort: boolean,
): Candidate {
  const { nowMs, request } = question;
  // One that is on trial: one request finds out how it is; the others wait for what that says.
  const use = isOnTrial(entry.breaker) ? ON_TRIAL : slotUse(entry, match.info);
  return {
    entry,
    match,
    lastResort,
    silent: entry.silence.isUnusual(nowMs),
    busy: use.busy,
    slots: use.slots,
    cost: estimateCost({ entry, meter }, match, request.prompt, nowMs, use),
    holdsConversation: meter.cache.holds(request.prompt),
    conversations: meter.cache.liveConversations(nowMs),
  };
}

function isWarming({ breaker }: TargetEntry): boolean {
  return breaker.name === 'warming';
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
