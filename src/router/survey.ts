import type { LeftOut, LeftOutKind } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import { isOnTrial } from './breaker.ts';
import { estimateCost, type Instance, instanceOf } from './cost.ts';
import { whyUnfit } from './fitness.ts';
import {
  type AskedModel,
  isPinnedTo,
  loadingMatch,
  type MatchResult,
  type ModelMatch,
  type ModelRules,
  matchCloud,
  matchLocal,
  standIns,
} from './models.ts';
import { type Resting, restingReason } from './resting.ts';
import type { Candidate } from './strategies/strategy.ts';
import { slotUse, type TargetEntry } from './target-entry.ts';

/** What of a request planning looks at. */
export type PlanRequest = Pick<InferenceRequest, 'operation' | 'requestedModel' | 'fence' | 'prompt'>;

/** What is asked of the fleet. */
export interface Question {
  readonly request: PlanRequest;
  readonly asked: AskedModel;
  readonly strict: boolean;
  readonly standIn: ModelRules['standIn'];
  readonly nowMs: number;
  /** Whether a context length counts that was only seen. */
  readonly trustGuesses: boolean;
}

/** Who could answer, and why not the others. */
export interface Survey {
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

/** Looks at each target once: it ends up as a candidate or with a reason. Pure. */
export function surveyTargets(
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
  const instance = instanceOf(entry, match.model);
  const { meter, usual } = instance;
  const unfit = whyUnfit(meter, match, question.request.prompt, usual.bytesPerToken, question.nowMs);
  if (unfit === null || (unfit.isGuess && !question.trustGuesses)) {
    survey.candidates.push(candidate(question, instance, match, lastResort));
    return;
  }
  if (unfit.isGuess) survey.someGuess = true;
  leaveOut(survey, entry, unfit.kind, unfit.reason);
}

const ON_TRIAL = { busy: 1, slots: 1 };

function candidate(question: Question, instance: Instance, match: ModelMatch, lastResort: boolean): Candidate {
  const { entry, meter } = instance;
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
    cost: estimateCost(instance, match, request.prompt, nowMs, use),
    holdsConversation: meter.cache.holds(request.prompt),
    conversations: meter.cache.liveConversations(nowMs),
  };
}

function isWarming({ breaker }: TargetEntry): boolean {
  return breaker.name === 'warming';
}
