import type { Target, TargetSnapshot } from '../../core/target.ts';
import { listedModels, modelItems, snapshotOf } from '../listing.ts';
import type { WireTools } from '../openai-wire/wire-adapter.ts';
import { isUnknownPath, probeGet } from '../probe-http.ts';
import { baseOf, bearer } from '../urls.ts';

/** The model list; a server without one is up all the same, with names that nobody knows. */
export async function probeOpenAiCompatible(
  target: Target,
  signal: AbortSignal,
  tools: WireTools,
): Promise<TargetSnapshot> {
  try {
    const { json } = await probeGet(tools, target, `${baseOf(target)}/models`, bearer(target), signal);
    const { items, extent } = modelItems(json, target);
    return snapshotOf({ models: listedModels(items, 'loaded'), ...extent });
  } catch (error) {
    if (isUnknownPath(error)) return snapshotOf({ listsEverything: false });
    throw error;
  }
}
