import type { NoRoute } from '../core/plan.ts';
import type { InferenceRequest, RequestFence } from '../core/request.ts';
import type { PlanResult } from './plan.ts';

type Asked = Pick<InferenceRequest, 'caller' | 'fence' | 'fenceAsked' | 'requestedModel'>;

/**
 * Somebody could serve it, but its key may not go there: that is no matter of what exists, and waiting does not help.
 * Null: without the key's policies nobody could serve it either, or its own targets are only away. Pure.
 */
export function policyRefusal(
  { caller, fence, fenceAsked, requestedModel }: Asked,
  noRoute: NoRoute,
  planWith: (fence: RequestFence) => PlanResult,
): NoRoute | null {
  if (fenceAsked === undefined || !nobodyHasIt(noRoute)) return null;
  const couldServe = (wider: RequestFence): boolean => {
    const planned = planWith(wider);
    return 'plan' in planned || !nobodyHasIt(planned.noRoute);
  };
  const { place, strictModel } = fenceAsked;
  const model = requestedModel === '' ? 'auto' : requestedModel.slice(0, LONGEST_NAME);
  const refused = (code: string, why: string): NoRoute => ({
    ...{ status: 403, code, retryAfterMs: null, leftOut: noRoute.leftOut },
    message: `The API key "${caller.name}" may not use ${why}`,
  });
  if (place !== fence.place && (couldServe({ ...fence, place }) || couldServe(fenceAsked))) {
    const other = fence.place === 'local' ? 'cloud' : 'local';
    const why = `the place "${other}", and no ${fence.place} target can serve the model "${model}". Allowed: ${fence.place}.`;
    return refused('place_not_allowed', why);
  }
  if (strictModel === fence.strictModel || !couldServe({ ...fence, strictModel })) return null;
  const why = `the models that could stand in for "${model}", which no target has. GET /v1/models lists what it may use.`;
  return refused('model_not_allowed', why);
}

const LONGEST_NAME = 200;

/** No target of those that it may go to has the model, in rotation or not. */
function nobodyHasIt({ code, leftOut }: NoRoute): boolean {
  return code === 'model_not_found' || leftOut.every(({ kind }) => kind === 'fenced' || kind === 'absent');
}
