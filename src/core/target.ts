import type { Price } from './price.ts';
import type { Secret } from './secret.ts';

export type TargetId = string;
export type Place = 'local' | 'cloud';

export const ADAPTER_KINDS = [
  'lm-studio',
  'ollama',
  'llama-cpp',
  'vllm',
  'sglang',
  'openrouter',
  'azure-openai',
  'openai-compatible',
] as const;
export type ServerKind = (typeof ADAPTER_KINDS)[number];

/** `auto`: not known yet, nothing is sent there; the target becomes the kind that is found at its address. */
export type AdapterKind = ServerKind | 'auto';

/** The name that pins a kind in a model name, `lmstudio/qwen2.5`; null: the target's own name does. */
export const PROVIDER_NAMES: Readonly<Record<AdapterKind, string | null>> = {
  'lm-studio': 'lmstudio',
  ollama: 'ollama',
  'llama-cpp': 'llamacpp',
  vllm: 'vllm',
  sglang: 'sglang',
  openrouter: 'openrouter',
  'azure-openai': 'azure',
  'openai-compatible': null,
  auto: null,
};

/** Names that stand for a whole kind: in a model name they pin it, so no single target may take one. */
export const RESERVED_PROVIDERS: ReadonlySet<string> = new Set(
  Object.values(PROVIDER_NAMES).filter((name) => name !== null),
);

/** Where a target came from: what a person wrote, what was found on this machine, or the admin API. */
export type TargetSource = 'environment' | 'yaml' | 'found' | 'admin';

/** One clock for each way a server can keep a client waiting (faults F-05 to F-09). All milliseconds, all > 0. */
export interface TargetClocks {
  /** Until a TCP connection stands. */
  readonly connectMs: number;
  /** Until the reply's status line, when the model is loaded. */
  readonly firstByteMs: number;
  /** Until the first real content of a stream; comments and role-only chunks do not count. */
  readonly firstTokenMs: number;
  /** Between two chunks of a stream. */
  readonly idleMs: number;
  /** Until the first real content when the model still has to be loaded; replaces the two above. */
  readonly warmupMs: number;
  /** How long a stream that keeps producing may run in all. */
  readonly streamMs: number;
  /** How long a request may wait for a slot; null: as long as at any other target. */
  readonly queueMs: number | null;
}

/** One model server or provider account. Immutable: a change makes a new one. */
export interface Target {
  /** Unique, `[a-z0-9][a-z0-9._-]*`; what `x-swarmrouter-target` says. */
  readonly id: TargetId;
  /** The name a client may put before a `/` to pin it: `lmstudio/qwen2.5`. Several nodes of a kind share it. */
  readonly provider: string;
  readonly adapterKind: AdapterKind;
  readonly place: Place;
  /** Without a trailing slash. For LM Studio, Ollama, llama.cpp, vLLM the server's root; for the others the API's base. */
  readonly baseUrl: string;
  readonly apiKey: Secret | null;
  readonly source: TargetSource;
  /** Looked for without being asked for: its absence is no fault and nobody is told of it. */
  readonly optional: boolean;
  /**
   * Where its address may lie; checked before calls. `public`, `lan`: given at run time · `any`: the operator's word in
   * the environment or YAML, not checked.
   */
  readonly network: 'any' | 'lan' | 'public';
  /** Requests at once; null: the slots that the server reports, else the kind's default. Cloud targets have no limit. */
  readonly maxConcurrent: number | null;
  readonly clocks: TargetClocks;
  /** Model (Azure: deployment) that takes names this target does not know; null: none. */
  readonly defaultModel: string | null;
  /** Azure: asked model → deployment. Empty elsewhere. */
  readonly deployments: ReadonlyMap<string, string>;
  /** Azure: the api-version of the classic URL form; null: the /openai/v1 form. */
  readonly apiVersion: string | null;
  /** Whole replies are asked for as a stream and assembled, so that the first-token and idle clocks mean something. */
  readonly assembleWholeReplies: boolean;
  /** It goes on with an assistant's message that stands last; null: as its kind does. */
  readonly continuesAnswers: boolean | null;
  /**
   * What becomes of its answer when the client leaves. `drain`: it is read to its end, within limits, since the provider
   * charges it all the same and says only there what it cost. Default `cancel`.
   */
  readonly onDisconnect?: 'cancel' | 'drain';
}

export type ModelState = 'loaded' | 'loading' | 'on-disk';
export type ModelKind = 'chat' | 'embedding' | 'other';

export interface ModelInfo {
  /** The name to ask this server for. */
  readonly id: string;
  /** Other names the server answers to for the same model (LM Studio instance ids, variants). */
  readonly alsoKnownAs: readonly string[];
  readonly kind: ModelKind;
  /** Cloud models count as loaded. */
  readonly state: ModelState;
  /** Tokens the loaded instance can hold, else the model's maximum; null: not said. */
  readonly contextLength: number | null;
  /** Requests that run at once on the loaded instances; null: not said. */
  readonly slots: number | null;
  readonly capabilities: ModelCapabilities;
  /** As the server spells it: `Q4_K_M`, `4bit`; null: not said. */
  readonly quantization: string | null;
  /** Of its weights on disk or in memory; null: not said. */
  readonly sizeBytes: number | null;
  /** What its provider says it costs; null: not said. */
  readonly price: Price | null;
}

/** What a model can do beside text. Null: the server does not say. */
export interface ModelCapabilities {
  readonly vision: boolean | null;
  readonly tools: boolean | null;
  readonly reasoning: boolean | null;
  /** Keeps to a JSON schema that the request brings along. */
  readonly jsonSchema: boolean | null;
}

/** Of a model whose server says no more than its name. */
export const NOTHING_SAID = {
  contextLength: null,
  slots: null,
  capabilities: { vision: null, tools: null, reasoning: null, jsonSchema: null },
  quantization: null,
  sizeBytes: null,
  price: null,
} as const;

/** How busy a server says it is: counts all its clients, not only this gateway. */
export interface ServerLoad {
  /** Requests that run now. */
  readonly running: number;
  /** Requests that wait inside the server. */
  readonly waiting: number;
  /** Share of its cache memory in use, 0 to 1; null: not said. */
  readonly cacheUsage: number | null;
}

/** What a probe learned. Never contains a credential. */
export interface TargetSnapshot {
  readonly models: readonly ModelInfo[];
  /** Requests at once over the whole server; null: not said. */
  readonly slots: number | null;
  readonly version: string | null;
  /** True: up, but still loading its only model (llama.cpp's 503). */
  readonly warming: boolean;
  /** False: the server has more models than it lists (Azure, a failed listing): an unlisted name may exist. */
  readonly listsEverything: boolean;
  /** Null: the server does not say. */
  readonly load: ServerLoad | null;
  /** What a person should know of it although it is up, a sentence each. */
  readonly notes: readonly string[];
}
