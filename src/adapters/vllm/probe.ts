import { UpstreamError } from '../../core/failure.ts';
import { objectOf, textOf } from '../../core/json-shape.ts';
import type { ServerLoad, Target, TargetSnapshot } from '../../core/target.ts';
import { listedModels, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { askOptional } from '../optional-path.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { requestsOf, shareOf } from '../prometheus-gauge.ts';
import { bearer, rootOf } from '../urls.ts';

/** What vLLM lists is loaded; LoRA adapters are models of their own. `/version` or the owner identifies it. */
export async function probeVllm(target: Target, signal: AbortSignal, tools: WireTools): Promise<TargetSnapshot> {
  const get = (path: string, until = signal) =>
    probeGet(tools, target, `${rootOf(target)}${path}`, bearer(target), until);
  const ask = async (path: string): Promise<unknown> => (await get(path)).json;
  const [listing, versionReply] = await Promise.all([ask('/v1/models'), ask('/version').catch(absent)]);
  const { items, extent } = modelItems(listing, target);
  const version = textOf(objectOf(versionReply)['version']);
  if (version === null && !items.some((item) => item['owned_by'] === 'vllm')) {
    throw new UpstreamError('malformed', `${target.id} does not answer like vLLM: is something else on that address?`);
  }
  // Last, so that a probe keeps no more connections than it needs.
  const metrics = await askOptional(tools, target, '/metrics', signal, get);
  return snapshotOf({ models: listedModels(items, 'loaded'), version, load: loadOf(metrics?.text ?? ''), ...extent });
}

function loadOf(page: string): ServerLoad | null {
  const running = requestsOf(page, ['vllm:num_requests_running']);
  if (running === null) return null;
  return {
    running,
    waiting: requestsOf(page, ['vllm:num_requests_waiting']) ?? 0,
    cacheUsage: shareOf(page, ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc']),
  };
}

function absent(error: unknown): null {
  if (isUnknownPath(error)) return null;
  throw error;
}
