import { FAILURE_RULES } from '../core/failure.ts';
import type { LeftOut, NoRoute } from '../core/plan.ts';
import type { InferenceRequest } from '../core/request.ts';

type PlanRequest = Pick<InferenceRequest, 'requestedModel' | 'fence'> & Partial<Pick<InferenceRequest, 'caller'>>;

import type { Cooldown } from './cooldown.ts';
import type { AskedModel } from './models.ts';
import type { TargetEntry } from './target-entry.ts';

const LISTED_NAMES = 8;

/** Nobody can serve it: the most useful thing to tell the client. Pure. */
export function noRoute(
  request: PlanRequest,
  asked: AskedModel,
  entries: readonly TargetEntry[],
  leftOut: readonly LeftOut[],
  nowMs: number,
): NoRoute {
  const present = entries.filter((entry) => entry.health !== 'absent');
  const answer: Answer = (status, code, message, retryAfterMs) => ({
    status,
    code,
    message,
    retryAfterMs,
    leftOut,
  });
  if (present.length === 0) {
    return answer(
      503,
      'no_target_available',
      'No model server was found. Start LM Studio (its server listens on port 1234), set LMSTUDIO_URL, or set OPENROUTER_API_KEY for the cloud.',
      5_000,
    );
  }
  const fencedIds = new Set(leftOut.filter((left) => left.kind === 'fenced').map((left) => left.targetId));
  const allowed = present.filter((entry) => !fencedIds.has(entry.target.id));
  if (allowed.length === 0) return fenced(request, asked, answer);
  const coolingIds = new Set(leftOut.filter((left) => left.kind === 'cooling').map((left) => left.targetId));
  const cooled = coolingAnswer(
    allowed.filter((entry) => coolingIds.has(entry.target.id)),
    nowMs,
    answer,
  );
  if (cooled !== null) return cooled;
  const down = allowed.filter((entry) => entry.breaker.name !== 'closed' || entry.snapshot === null);
  if (down.length > 0) {
    const names = isRestricted(request) ? '' : `; not answering: ${down.map((entry) => entry.target.id).join(', ')}`;
    return answer(503, 'no_target_available', `No target can serve this request now${names}.`, 1_000);
  }
  const unfit = unfitAnswer(leftOut, isRestricted(request), answer);
  if (unfit !== null) return unfit;
  const name = asked.name === '' ? 'No model is loaded' : `The model "${asked.name}" does not exist on any target`;
  return answer(
    404,
    'model_not_found',
    `${name}. ${seesAllModels(request) ? availableModels(allowed) : 'GET /v1/models lists what this key may use.'}`,
    null,
  );
}

/** A key that may not use everything is told of no target by its name: those are the operator's, not its owner's. */
function isRestricted({ caller }: PlanRequest): boolean {
  if (caller?.kind !== 'key') return false;
  const { models, places, routes } = caller.policies;
  return models !== null || places !== null || routes !== null;
}

/** A key with a list of models is told of no others. */
function seesAllModels({ caller }: PlanRequest): boolean {
  return caller === undefined || caller.policies.models === null;
}

type Answer = (status: number, code: string, message: string, retryAfterMs: number | null) => NoRoute;

/** Nobody who has the model can take this very request: that is the client's to mend. */
function unfitAnswer(leftOut: readonly LeftOut[], nameless: boolean, answer: Answer): NoRoute | null {
  const reasons = (kind: LeftOut['kind']): string => {
    const ofKind = leftOut.filter((left) => left.kind === kind);
    const texts = ofKind.map(({ targetId, reason }) => (nameless ? sentence(reason) : `${targetId}: ${reason}`));
    return [...new Set(texts)].join('; ');
  };
  const tooLong = reasons('too-long');
  if (tooLong !== '') {
    const { clientStatus, clientCode } = FAILURE_RULES.contextTooLong;
    return answer(clientStatus, clientCode, `The prompt is too long for every target. ${tooLong}.`, null);
  }
  const incapable = reasons('incapable');
  if (incapable === '') return null;
  return answer(400, 'unsupported_capability', `No target can serve what the request needs. ${incapable}.`, null);
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Those that could serve asked to be left alone: the client is told when the first of them may be asked again. */
function coolingAnswer(entries: readonly TargetEntry[], nowMs: number, answer: Answer): NoRoute | null {
  let soonest: Cooldown | null = null;
  for (const { cooldown } of entries) {
    if (cooldown === null) continue;
    if (soonest === null || cooldown.untilMs < soonest.untilMs) soonest = cooldown;
  }
  if (soonest === null) return null;
  const rule = FAILURE_RULES[soonest.kind];
  const waitMs = soonest.untilMs - nowMs;
  return answer(
    rule.clientStatus,
    rule.clientCode,
    `Every target that could serve this asked to be left alone (${rule.meaning}); the first may be asked again in ${Math.ceil(waitMs / 1000)} s.`,
    waitMs,
  );
}

function fenced(request: PlanRequest, asked: AskedModel, answer: Answer): NoRoute {
  if (asked.pin !== null) {
    return answer(
      404,
      'model_not_found',
      `The model "${request.requestedModel}" names the provider "${asked.pin}", which is not configured here${request.fence.place === null ? '' : ` as a ${request.fence.place} target`}.`,
      null,
    );
  }
  return answer(
    503,
    'no_target_available',
    `x-swarmrouter-place: ${request.fence.place} leaves no target: none of that place is configured.`,
    null,
  );
}

function availableModels(entries: readonly TargetEntry[]): string {
  const names = new Set<string>();
  for (const entry of entries) {
    for (const model of entry.snapshot?.models ?? []) if (model.kind === 'chat') names.add(model.id);
    for (const name of entry.target.deployments.keys()) names.add(name);
  }
  if (names.size === 0) return 'No target lists a chat model.';
  const shown = [...names].slice(0, LISTED_NAMES).join(', ');
  const more = names.size > LISTED_NAMES ? `, and ${names.size - LISTED_NAMES} more (GET /v1/models)` : '';
  return `Available: ${shown}${more}.`;
}
