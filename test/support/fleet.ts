import type { ProviderAdapter } from '../../src/core/adapter.ts';
import type { Clock } from '../../src/core/clock.ts';
import {
  type AdapterKind,
  type ModelInfo,
  NOTHING_SAID,
  type Place,
  type ServerLoad,
  type Target,
  type TargetSnapshot,
} from '../../src/core/target.ts';
import { SpeedBook } from '../../src/router/learned/speed-book.ts';
import { RETRY_BUDGET_DEFAULTS, RetryBudget } from '../../src/router/retry-budget.ts';
import { TargetEntry } from '../../src/router/targets.ts';
import { ManualClock } from './manual-clock.ts';

/** Plain data for tests that only plan: entries as the directory would hold them, without a server behind. */
export interface EntrySketch {
  readonly id?: string;
  readonly kind?: AdapterKind;
  readonly provider?: string;
  readonly place?: Place;
  readonly models?: readonly (string | Partial<ModelInfo>)[];
  readonly slots?: number | null;
  readonly maxConcurrent?: number | null;
  readonly defaultModel?: string | null;
  readonly deployments?: Readonly<Record<string, string>>;
  readonly listsEverything?: boolean;
  readonly optional?: boolean;
  readonly load?: ServerLoad | null;
}

export const testClocks = {
  connectMs: 500,
  firstByteMs: 2_000,
  firstTokenMs: 2_000,
  idleMs: 2_000,
  warmupMs: 5_000,
  streamMs: 60_000,
  queueMs: null,
};

export function targetOf(sketch: EntrySketch): Target {
  const kind = sketch.kind ?? 'lm-studio';
  const place = sketch.place ?? (kind === 'openrouter' || kind === 'azure-openai' ? 'cloud' : 'local');
  const provider =
    sketch.provider ??
    { 'lm-studio': 'lmstudio', 'azure-openai': 'azure', 'llama-cpp': 'llamacpp' }[kind as string] ??
    kind;
  return {
    id: sketch.id ?? provider,
    provider,
    adapterKind: kind,
    place,
    baseUrl: 'http://127.0.0.1:1',
    apiKey: null,
    source: 'yaml',
    optional: sketch.optional ?? false,
    network: 'any',
    maxConcurrent: sketch.maxConcurrent ?? null,
    clocks: testClocks,
    defaultModel: sketch.defaultModel ?? null,
    deployments: new Map(Object.entries(sketch.deployments ?? {})),
    apiVersion: null,
    assembleWholeReplies: place === 'local',
    continuesAnswers: null,
  };
}

export function modelOf(model: string | Partial<ModelInfo>): ModelInfo {
  const partial = typeof model === 'string' ? { id: model } : model;
  return { ...NOTHING_SAID, id: 'model', alsoKnownAs: [], kind: 'chat', state: 'loaded', ...partial };
}

export function snapshotOf(sketch: EntrySketch): TargetSnapshot {
  return {
    models: (sketch.models ?? []).map(modelOf),
    slots: sketch.slots ?? null,
    version: null,
    warming: false,
    listsEverything: sketch.listsEverything ?? true,
    load: sketch.load ?? null,
    notes: [],
  };
}

const MODELS_IN_MEMORY: Readonly<Partial<Record<AdapterKind, number>>> = { 'lm-studio': 1, ollama: 3, 'llama-cpp': 4 };

/** Without a server behind it, unless `change` says what answers. */
export function adapterOf(kind: AdapterKind, change: Partial<ProviderAdapter> = {}): ProviderAdapter {
  return {
    kind,
    operations: new Set(['chat']),
    defaultSlots: kind === 'ollama' ? 1 : 4,
    continuesAnswers: kind === 'llama-cpp' || kind === 'vllm' || kind === 'sglang',
    loadsOnDemand: ['lm-studio', 'ollama', 'llama-cpp'].includes(kind),
    modelsInMemory: MODELS_IN_MEMORY[kind] ?? null,
    countsOnlyRead: kind === 'ollama',
    finishesPrompt: kind === 'lm-studio',
    call: () => Promise.reject(new Error('this entry has no server')),
    probe: () => Promise.reject(new Error('this entry has no server')),
    ...change,
  };
}

/** A probed, healthy entry. */
export function entryOf(sketch: EntrySketch, clock: Clock = new ManualClock(), book = new SpeedBook()): TargetEntry {
  const adapter = adapterOf(sketch.kind ?? 'lm-studio');
  const entry = new TargetEntry(targetOf(sketch), adapter, new RetryBudget(clock, RETRY_BUDGET_DEFAULTS), book);
  entry.snapshot = snapshotOf(sketch);
  entry.everUp = true;
  entry.probedAtWallMs = 0;
  return entry;
}
