import type { ModelInfo, Target, TargetSnapshot } from '../../core/target.ts';
import { modelInfoOf, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { probeGet } from '../probe-http.ts';
import { modelsUrl } from './urls.ts';

/** Tells whether the resource answers and takes the key; deployments are on no list, so they come from the settings. */
export async function probeAzure(
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
  headers: Record<string, string>,
): Promise<TargetSnapshot> {
  const { json } = await probeGet(tools, target, modelsUrl(target), headers, signal);
  modelItems(json, target);
  const names = new Set(target.deployments.keys());
  if (target.defaultModel !== null) names.add(target.defaultModel);
  return snapshotOf({ models: [...names].map(deployed), listsEverything: false });
}

function deployed(id: string): ModelInfo {
  return modelInfoOf({ id, state: 'loaded' });
}
