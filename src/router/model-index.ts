import type { ModelInfo, TargetSnapshot } from '../core/target.ts';

/** Finds a model by any name people use for it, in constant time: OpenRouter lists hundreds. */
export interface ModelIndex {
  find(name: string): ModelInfo | null;
  /** Chat models in memory now. */
  readonly loadedChat: readonly ModelInfo[];
  /** Chat models that would have to be loaded first. */
  readonly otherChat: readonly ModelInfo[];
}

const indexes = new WeakMap<TargetSnapshot, ModelIndex>();

export function modelIndex(snapshot: TargetSnapshot): ModelIndex {
  let index = indexes.get(snapshot);
  if (index === undefined) {
    index = buildIndex(snapshot.models);
    indexes.set(snapshot, index);
  }
  return index;
}

/** The part after the last `/`: `openai/gpt-4o-mini` → `gpt-4o-mini`. */
export function bareName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function buildIndex(models: readonly ModelInfo[]): ModelIndex {
  const exact = new Map<string, ModelInfo>();
  const bare = new Map<string, ModelInfo>();
  const add = (map: Map<string, ModelInfo>, key: string, model: ModelInfo): void => {
    const known = map.get(key);
    // Of two models that share a bare name the one in memory is meant.
    if (known === undefined || (known.state !== 'loaded' && model.state === 'loaded')) map.set(key, model);
  };
  for (const model of models) {
    for (const name of [model.id, ...model.alsoKnownAs]) {
      const key = name.toLowerCase();
      add(exact, key, model);
      // Ollama means `:latest` when no tag is given.
      if (key.endsWith(':latest')) add(exact, key.slice(0, -':latest'.length), model);
      add(bare, bareName(key), model);
    }
  }
  const chat = models.filter((model) => model.kind === 'chat');
  return {
    find(name) {
      const key = name.toLowerCase();
      return exact.get(key) ?? bare.get(key) ?? null;
    },
    loadedChat: chat.filter((model) => model.state === 'loaded'),
    otherChat: chat.filter((model) => model.state !== 'loaded'),
  };
}
