import type { ModelInfo } from '../core/target.ts';
import type { TargetEntry } from './target-entry.ts';

/** Why a request for a model must wait although slots are free; null: it need not. */
export type LoadObstacle = 'loads-already' | 'loads-another' | 'would-evict';

/**
 * Servers load a model when it is first asked for (LM Studio, Ollama, llama.cpp's router), and throw another out for it
 * when they are full, LM Studio even one that is answering (lmstudio-bug-tracker#1796). So there is one load at a time
 * for each server, however many wait, and none that would throw out a model at work. Pure.
 */
export function loadObstacle(entry: TargetEntry, model: ModelInfo): LoadObstacle | null {
  const { adapter, target, activity } = entry;
  if (target.place === 'cloud' || !adapter.loadsOnDemand) return null;
  const { modelsInMemory } = adapter;
  // What is being loaded may be about to throw out this one.
  if (activity.isLoadingOther(model.id) && (modelsInMemory === 1 || model.state !== 'loaded')) return 'loads-another';
  if (model.state === 'loaded') return null;
  if (activity.isLoading(model.id)) return 'loads-already';
  return modelsInMemory !== null && isFull(entry, model, modelsInMemory) && othersAtWork(entry, model)
    ? 'would-evict'
    : null;
}

export function mustNotLoad(entry: TargetEntry, model: ModelInfo): boolean {
  return loadObstacle(entry, model) !== null;
}

function isFull({ snapshot }: TargetEntry, model: ModelInfo, modelsInMemory: number): boolean {
  let inMemory = 0;
  for (const other of snapshot?.models ?? []) if (other.state !== 'on-disk' && other.id !== model.id) inMemory++;
  return inMemory >= modelsInMemory;
}

function othersAtWork({ busyByModel }: TargetEntry, model: ModelInfo): boolean {
  for (const [name, busy] of busyByModel) if (busy > 0 && name !== model.id) return true;
  return false;
}
