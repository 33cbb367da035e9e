import type { NoRoute } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import type { PlanResult } from './plan.ts';

type Asked = Pick<InferenceRequest, 'caller' | 'fence' | 'fenceAsked' | 'requestedModel'>;

/**
 * Somebody could serve it, but its key may not go there: that is no matter of what exists, and waiting does not help.
 * Null: in the other place nobody could serve it either, or its own targets are only away. A model that nobody has
 * is missing, also where the key keeps others from standing in for it. Pure.
 */
export function policyRefusal(
  { caller, fence, fenceAsked, requestedModel }: Asked,
  noRoute: NoRoute,
  planWith: (fence: RequestFence) => PlanResult,
): NoRoute | null {
  if (fenceAsked === undefined || !nobodyHasIt(noRoute)) return null;
  if (fenceAsked.place === fence.place) return null;
  const other = fence.place === 'local' ? 'cloud' : 'local';
  // There alone, and as the key's list of models has it: no stand-in counts that the list keeps out, on either side.
  const there = planWith({ ...fence, place: other });
  if ('noRoute' in there && nobodyHasIt(there.noRoute)) return null;
  const model = requestedModel === '' ? 'auto' : requestedModel.slice(0, LONGEST_NAME);
  const why = `the place "${other}", and no ${fence.place} target can serve the model "${model}". Allowed: ${fence.place}.`;
  return {
    ...{ status: 403, code: 'place_not_allowed', retryAfterMs: null, leftOut: noRoute.leftOut },
    message: `The API key "${caller.name}" may not use ${why}`,
  };
}

const LONGEST_NAME = 200;

/** No target of those that it may go to has the model, in rotation or not. */
function nobodyHasIt({ code, leftOut }: NoRoute): boolean {
  return code === 'model_not_found' || leftOut.every(({ kind }) => kind === 'fenced' || kind === 'absent');
}
