import type { LeftOut, LeftOutKind, NoRoute, PlanStep, RoutePlan } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import { slotUse } from './load.ts';
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
import type { Candidate, RankedCandidate, Strategy } from './strategies/strategy.ts';
import type { TargetEntry } from './targets.ts';

export interface PlanOptions extends ModelRules {
  readonly strategy: Strategy;
  /** Upstream calls in all, the first included, ≥ 1. */
  readonly maxAttempts: number;
}

/** What of a request planning looks at. */
export type PlanRequest = Pick<InferenceRequest, 'requestedModel' | 'fence'>;

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
): PlanResult {
  const asked = readAskedModel(request.requestedModel, options, entries);
  const strict = request.fence.strictModel || options.standIn === 'never';
  const survey = surveyTargets(request, asked, entries, strict, nowMs);
  addStandIns(survey, asked, strict ? 'never' : options.standIn);
  let ranked = options.strategy.rank(survey.candidates);
  // Better a target that has just failed than nobody: it may be back, and the client loses nothing.
  if (ranked.length === 0) ranked = options.strategy.rank(survey.resting);
  const [first, ...rest] = ranked.map(toStep);
  if (first === undefined) return { noRoute: noRoute(request, asked, entries, survey.leftOut, nowMs) };
  return { plan: { steps: [first, ...rest], leftOut: survey.leftOut, maxAttempts: options.maxAttempts } };
}

interface Survey {
  readonly candidates: Candidate[];
  /** Could serve, probe well, but failed lately: asked only when nobody else is left. */
  readonly resting: Candidate[];
  readonly leftOut: LeftOut[];
  /** Healthy local targets that lack the name: a stand-in may answer there. */
  readonly lacking: { readonly entry: TargetEntry; readonly reason: string }[];
  localHasIt: boolean;
  anyHasIt: boolean;
}

function surveyTargets(
  request: PlanRequest,
  asked: AskedModel,
  entries: readonly TargetEntry[],
  strict: boolean,
  nowMs: number,
): Survey {
  const survey: Survey = { candidates: [], resting: [], leftOut: [], lacking: [], localHasIt: false, anyHasIt: false };
  for (const entry of entries) {
    const { place } = entry.target;
    const fenced = fencedOut(request.fence, asked, entry);
    if (fenced !== null) {
      leaveOut(survey, entry, 'fenced', fenced);
      continue;
    }
    const rest = restingReason(entry, nowMs);
    const result = place === 'local' ? matchLocal(entry, asked) : matchCloud(entry, asked, strict);
    if (rest !== null) {
      if (rest.lastResort && 'match' in result) survey.resting.push(candidate(entry, result.match, false));
      leaveOut(survey, entry, rest.kind, rest.reason);
      continue;
    }
    if (place === 'local' && entry.snapshot?.warming === true) {
      const model = entry.snapshot.models[0]?.id ?? asked.name;
      survey.candidates.push(candidate(entry, loadingMatch(model), true));
    } else note(survey, entry, result);
  }
  return survey;
}

function note(survey: Survey, entry: TargetEntry, result: MatchResult): void {
  const { place } = entry.target;
  if ('match' in result) {
    if (result.match.how === 'named') {
      survey.anyHasIt = true;
      if (place === 'local') survey.localHasIt = true;
    }
    survey.candidates.push(candidate(entry, result.match, false));
  } else if (place === 'local') survey.lacking.push({ entry, reason: result.leftOut });
  else leaveOut(survey, entry, 'no-model', result.leftOut);
}

function leaveOut(survey: Survey, entry: TargetEntry, kind: LeftOutKind, reason: string): void {
  survey.leftOut.push({ kind, targetId: entry.target.id, place: entry.target.place, reason });
}

function fencedOut(fence: RequestFence, asked: AskedModel, entry: TargetEntry): string | null {
  if (fence.place !== null && fence.place !== entry.target.place)
    return `the request may only go to ${fence.place} targets`;
  if (!isPinnedTo(entry, asked.pin)) return `the request is pinned to ${asked.pin}`;
  return null;
}

/** Why a target is not asked now; null: it may be. `lastResort`: it answers probes, so it may be asked when nobody else can. */
function restingReason(entry: TargetEntry, nowMs: number): Resting | null {
  const { breaker, probeFailure, cooldown } = entry;
  if (entry.health === 'absent') return { kind: 'absent', reason: 'was not found', lastResort: false };
  if (breaker.name === 'open') {
    const why = probeFailure?.message ?? 'its last requests failed';
    return { kind: 'down', reason: `down: ${why}`, lastResort: probeFailure === null };
  }
  if (cooldown !== null && cooldown.untilMs > nowMs) {
    const reason = `cooling down (${cooldown.kind}) for ${Math.ceil((cooldown.untilMs - nowMs) / 1000)} s more`;
    return { kind: 'cooling', reason, lastResort: !cooldown.stated };
  }
  if (breaker.name === 'half-open' && breaker.trialRunning) {
    return { kind: 'down', reason: 'on trial after a failure', lastResort: true };
  }
  return null;
}

interface Resting {
  readonly kind: LeftOutKind;
  readonly reason: string;
  readonly lastResort: boolean;
}

/** Local targets without the name: may one of their models stand in? */
function addStandIns(survey: Survey, asked: AskedModel, mode: ModelRules['standIn']): void {
  const allowed =
    asked.name === '' || (!survey.localHasIt && (mode === 'always' || (mode === 'unknown' && !survey.anyHasIt)));
  for (const { entry, reason } of survey.lacking) {
    const { loaded, toLoad } = standIns(entry, asked);
    const choice = allowed ? (leastBusy(entry, loaded) ?? toLoad[0]) : undefined;
    if (choice !== undefined) survey.candidates.push(candidate(entry, choice, !choice.loaded));
    else
      leaveOut(
        survey,
        entry,
        'no-model',
        allowed && loaded.length === 0 ? `${reason}, and no chat model is loaded` : reason,
      );
  }
}

function leastBusy(entry: TargetEntry, matches: readonly ModelMatch[]): ModelMatch | undefined {
  let best: ModelMatch | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  for (const match of matches) {
    const { busy, slots } = slotUse(entry, match.info);
    if (best === undefined || busy / slots < bestLoad) {
      best = match;
      bestLoad = busy / slots;
    }
  }
  return best;
}

function candidate(entry: TargetEntry, match: ModelMatch, lastResort: boolean): Candidate {
  return { entry, match, lastResort, ...slotUse(entry, match.info) };
}

function toStep({ candidate, waits, why }: RankedCandidate): PlanStep {
  const { entry, match } = candidate;
  return {
    target: entry.target,
    model: match.model,
    modelLoaded: match.loaded,
    waits,
    reason: `${why}; ${match.words}`,
  };
}
