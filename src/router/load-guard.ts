import type { ProviderAdapter } from '../core/adapter.ts';
import type { ModelInfo, Target, TargetSnapshot } from '../core/target.ts';
import type { Activity } from './learned/activity.ts';

/** What of a target decides it. Not the entry itself, which asks this file for its free slots. */
export interface LoadingTarget {
  readonly target: Target;
  readonly adapter: ProviderAdapter;
  readonly activity: Activity;
  readonly snapshot: TargetSnapshot | null;
  readonly busyByModel: ReadonlyMap<string, number>;
}

/** Why a request for a model must wait although slots are free; null: it need not. */
export type LoadObstacle = 'loads-already' | 'loads-another' | 'would-evict';

/**
 * Servers load a model when it is first asked for (LM Studio, Ollama, llama.cpp's router), and throw another out for it
 * when they are full, LM Studio even one that is answering (lmstudio-bug-tracker#1796). So there is one load at a time
 * for each server, however many wait, and none that would throw out a model at work. Pure.
 */
export function loadObstacle(entry: LoadingTarget, model: ModelInfo): LoadObstacle | null {
  const { adapter, target, activity } = entry;
  if (target.place === 'cloud' || !adapter.loadsOnDemand) return null;
  // Planning asks this of every target: most have their model in memory, and read nothing.
  if (model.state === 'loaded' && !activity.isLoadingAny) return null;
  const { modelsInMemory } = adapter;
  // What is being loaded may be about to throw out this one.
  if (activity.isLoadingOther(model.id) && (modelsInMemory === 1 || model.state !== 'loaded')) return 'loads-another';
  if (model.state === 'loaded') return null;
  // Whether it goes on is not known for sure, so it holds up further loads alone.
  if (activity.leftLoad !== null && activity.leftLoad.model !== model.id) return 'loads-another';
  if (activity.isLoading(model.id)) return 'loads-already';
  return modelsInMemory !== null && isFull(entry, model, modelsInMemory) && othersAtWork(entry, model)
    ? 'would-evict'
    : null;
}

/**
 * What is in memory once this model has been loaded. Which others had to go is not known before the next probe: where
 * some had to, all that are idle count as gone, for a request to one of those would load it and throw out this one.
 */
export function modelsAfterLoad(
  { adapter, busyByModel }: Pick<LoadingTarget, 'adapter' | 'busyByModel'>,
  models: readonly ModelInfo[],
  loaded: string,
): readonly ModelInfo[] {
  const inMemory = models.filter(({ state, id }) => state === 'loaded' || id === loaded).length;
  const someWent = adapter.modelsInMemory !== null && inMemory > adapter.modelsInMemory;
  return models.map((info) => {
    if (info.id === loaded) return { ...info, state: 'loaded' };
    const mayBeGone = someWent && info.state === 'loaded' && (busyByModel.get(info.id) ?? 0) === 0;
    return mayBeGone ? { ...info, state: 'on-disk' } : info;
  });
}

export function mustNotLoad(entry: LoadingTarget, model: ModelInfo): boolean {
  return loadObstacle(entry, model) !== null;
}

function isFull({ snapshot }: LoadingTarget, model: ModelInfo, modelsInMemory: number): boolean {
  let inMemory = 0;
  for (const other of snapshot?.models ?? []) if (other.state !== 'on-disk' && other.id !== model.id) inMemory++;
  return inMemory >= modelsInMemory;
}

function othersAtWork({ busyByModel }: LoadingTarget, model: ModelInfo): boolean {
  for (const [name, busy] of busyByModel) if (busy > 0 && name !== model.id) return true;
  return false;
}
