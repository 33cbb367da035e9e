import { UpstreamError } from '../../core/failure.ts';
import { objectOf, textOf } from '../../core/json-shape.ts';
import type { Target, TargetSnapshot } from '../../core/target.ts';
import { listedModels, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** What vLLM lists is loaded; LoRA adapters are models of their own. `/version` or the owner identifies it. */
export async function probeVllm(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const ask = async (path: string): Promise<unknown> =>
    (await probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), signal)).json;
  const [listing, versionReply] = await Promise.all([ask('/v1/models'), ask('/version').catch(absent)]);
  const items = modelItems(listing, target);
  const version = textOf(objectOf(versionReply)['version']);
  if (version === null && !items.some((item) => item['owned_by'] === 'vllm')) {
    throw new UpstreamError('malformed', `${target.id} does not answer like vLLM: is something else on that address?`);
  }
  return snapshotOf({ models: listedModels(items, 'loaded'), version });
}

function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}
