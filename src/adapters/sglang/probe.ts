import { UpstreamError } from '../../core/failure.ts';
import { objectOf, textOf } from '../../core/json-shape.ts';
import type { ServerLoad, Target, TargetSnapshot } from '../../core/target.ts';
import { listedModels, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional } from '../optional-path.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { requestsOf, shareOf } from '../prometheus-gauge.ts';
import { bearer, rootOf } from '../urls.ts';

/** The list names the served model; `/get_model_info` or the owner identifies SGLang. */
export async function probeSglang(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const get = (path: string, until = signal) =>
    probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), until);
  const ask = async (path: string): Promise<unknown> => (await get(path)).json;
  const { items, extent } = modelItems(await ask('/v1/models'), target);
  if (!items.some((item) => item['owned_by'] === 'sglang')) {
    const info = objectOf(await ask('/get_model_info').catch(absent));
    if (textOf(info['model_path']) === null) {
      throw new UpstreamError(
        'malformed',
        `${target.id} does not answer like SGLang: is something else on that address?`,
      );
    }
  }
  const metrics = await askOptional(tools, target, '/metrics', signal, get);
  return snapshotOf({ models: listedModels(items, 'loaded'), load: loadOf(metrics?.text ?? ''), ...extent });
}

function loadOf(page: string): ServerLoad | null {
  const running = requestsOf(page, ['sglang:num_running_reqs']);
  if (running === null) return null;
  return {
    running,
    waiting: requestsOf(page, ['sglang:num_queue_reqs']) ?? 0,
    cacheUsage: shareOf(page, ['sglang:token_usage']),
  };
}

function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}
