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
  /** Loaded after the latest probe, which cannot tell what was thrown out for it; null: none was. */
  readonly newlyLoaded: string | null;
  /** Models whose load was waited for too long, by the request that waits, the first one first. */
  readonly loadClaims: ReadonlyMap<object, string>;
}

/** Why a request for a model must wait although slots are free; null: it need not. */
export type LoadObstacle = 'loads-already' | 'loads-another' | 'would-evict' | 'makes-room';

/**
 * Servers load a model when it is first asked for (LM Studio, Ollama, llama.cpp's router), and throw another out for it
 * when they are full, LM Studio even one that is answering (lmstudio-bug-tracker#1796). So there is one load at a time
 * for each server, however many wait, and none that would throw out a model at work. Pure.
 */
export function loadObstacle(entry: LoadingTarget, model: ModelInfo): LoadObstacle | null {
  const { adapter, target, activity } = entry;
  if (target.place === 'cloud' || !adapter.loadsOnDemand) return null;
  const { modelsInMemory } = adapter;
  // Or newcomers would keep the models in memory at work for ever. One claim at a time: two would block each other.
  const [claimed] = entry.loadClaims.values();
  if (claimed !== undefined && claimed !== model.id) return 'makes-room';
  // What is being loaded may be about to throw out this one, or may have done so.
  const isNewOther = entry.newlyLoaded !== null && entry.newlyLoaded !== model.id;
  if ((isNewOther || activity.isLoadingOther(model.id)) && (modelsInMemory === 1 || model.state !== 'loaded'))
    return 'loads-another';
  if (model.state === 'loaded') return null;
  if (activity.isLoading(model.id)) return 'loads-already';
  return modelsInMemory !== null && isFull(entry, model, modelsInMemory) && othersAtWork(entry, model)
    ? 'would-evict'
    : null;
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
