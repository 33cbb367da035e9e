import { UpstreamError } from '../../core/failure.ts';
import { objectOf, textOf } from '../../core/json-shape.ts';
import type { Target, TargetSnapshot } from '../../core/target.ts';
import { listedModels, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { bearer, rootOf } from '../urls.ts';

/** The list names the served model; `/get_model_info` or the owner identifies SGLang. */
export async function probeSglang(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const ask = async (path: string): Promise<unknown> =>
    (await probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), signal)).json;
  const items = modelItems(await ask('/v1/models'), target);
  if (!items.some((item) => item['owned_by'] === 'sglang')) {
    const info = objectOf(await ask('/get_model_info').catch(absent));
    if (textOf(info['model_path']) === null) {
      throw new UpstreamError(
        'malformed',
        `${target.id} does not answer like SGLang: is something else on that address?`,
      );
    }
  }
  return snapshotOf({ models: listedModels(items, 'loaded') });
}

function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}
