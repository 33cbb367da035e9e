import type { ServerKind } from '../src/core/target.ts';
import type { Fault } from './fault.ts';

/** One simulated wire for each kind of target that the gateway knows. */
export type SimulatorKind = ServerKind;

export interface SimulatedModel {
  /** The name to ask for; on Azure the deployment. */
  readonly id: string;
  /** Default `chat`. */
  readonly kind?: 'chat' | 'embedding';
  /** Default `loaded`. A model on disk is loaded by the first request that names it (LM Studio, Ollama); on llama.cpp it sleeps until the first task. */
  readonly state?: 'loaded' | 'on-disk';
  /** Tokens that the loaded instance holds; a longer prompt is refused in the wire's own words. Default 8192. */
  readonly contextLength?: number;
  /** Tokens that the model could hold at most. Default 131072. */
  readonly maxContextLength?: number;
  /** Requests that run at once on this model; default: the simulator's `slots`. */
  readonly slots?: number;
  /** LM Studio: the ids of the loaded instances. Default: one, named like the model. */
  readonly instanceIds?: readonly string[];
  /** What replies call the model; on Azure the model under the deployment. Default: `id`. */
  readonly underlyingModel?: string;
  /** Ollama: false, as before 0.11, keeps the context length to itself. Default true. */
  readonly statesContextLength?: boolean;
  /** Ollama: its file sets the context length (`num_ctx`), and `/api/show` says so. Default false. */
  readonly setsContextLength?: boolean;
  /** Whether the server says that it sees images. Default true. */
  readonly vision?: boolean;
  /** Length of an embedding. Default 8. */
  readonly dimensions?: number;
}

/** What may change while a simulator runs. Durations are milliseconds, speeds are tokens a second (Infinity: no pause). */
export interface Behaviour {
  /** Default: one loaded chat model called `sim-model`. */
  readonly models: readonly SimulatedModel[];
  /** Requests that run at once on a model; further ones wait silently. Default: the kind's own (LM Studio 4, Ollama 1, llama.cpp 4, others 1024). */
  readonly slots: number;
  /** From a free slot to the first token. Default 5. */
  readonly firstTokenMs: number;
  /** Streams: send status and headers before the first token, not with it. Default: true for OpenRouter and Azure, else false. */
  readonly earlyHeaders: boolean;
  /** Default Infinity. */
  readonly tokensPerSecond: number;
  /** Adds prompt tokens / this to the first token's time. Default Infinity. */
  readonly promptTokensPerSecond: number;
  /** Prompts are read at this speed, one after the other, whatever the number of slots. Default Infinity. */
  readonly prefillTokensPerSecond: number;
  /**
   * Each slot keeps its last prompt, and a request takes the free slot that shares most with its own: what is shared is
   * not read again. Default false.
   */
  readonly prefixCache: boolean;
  /** vLLM, SGLang: says how much of the prompt was cached. llama.cpp always does, LM Studio and Ollama never. Default false. */
  readonly reportsCachedTokens: boolean;
  /** Ollama: cuts a prompt to the context length without a word, and reports the tokens that are left. Default false. */
  readonly cutsLongPrompts: boolean;
  /** Words in the default reply, 1 to 1,000,000. Default 12. */
  readonly replyTokens: number;
  /** A fixed reply text in place of the default one; null: the default. */
  readonly reply: string | null;
  /** How long loading a model from disk takes. Default 20. */
  readonly loadMs: number;
  /** LM Studio: whether naming a model on disk loads it. Default true. */
  readonly jitLoading: boolean;
  /** LM Studio: knows `/api/v1/models` (0.4 and later). Default true. */
  readonly nativeApi: boolean;
  /**
   * llama.cpp: the number of its build. From 7,500 on it can sleep and says so; `/slots` wakes it, and so does
   * `/metrics` before 10,630. Default 11,000.
   */
  readonly build: number;
  /** llama.cpp: it sleeps after this many milliseconds without a task, if its build can; null: never. Default null. */
  readonly sleepIdleMs: number | null;
  /** llama.cpp: answers 503 `Loading model` everywhere while true. Default false. */
  readonly loading: boolean;
  /** Asked of every request in the wire's own header when set. */
  readonly apiKey: string | null;
  /** Closes a kept-alive connection after this many idle milliseconds, without a hint (fault F-33); null: never. */
  readonly keepAliveIdleMs: number | null;
  /** Azure: a chunk whose choice has filter offsets and no delta, after the finish. Default true. */
  readonly asyncFilter: boolean;
  /** A continued answer comes with its beginning once more, as from LM Studio 0.4.16. */
  readonly echoesBeginning: boolean;
}

export interface SimulatorOptions extends Partial<Behaviour> {
  readonly kind: SimulatorKind;
  /** Shown in replies and by the command line. Default: the kind. */
  readonly name?: string;
  /** 0 to 65535; 0: any free port. Default 0. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Requests kept in the log; the oldest are dropped first, 0 keeps none. Default 10,000. */
  readonly logLimit?: number;
  /** The fault that a generation meets when none is set or counted out; null: none. Called once for each. */
  readonly faultFor?: (request: { readonly rawBody: string }) => Fault | null;
  /** Told of each generation as it arrives; the record goes on to grow. */
  readonly onGeneration?: (request: SimulatedRequest, fault: Fault | null) => void;
}

/** One request as the simulator saw it; grows until `endedAtMs` is set. */
export interface SimulatedRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON body; null without one. */
  readonly body: unknown;
  readonly rawBody: string;
  /** `performance.now()` when the last byte of the request had come. */
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  /** Null until a status line was sent. */
  readonly status: number | null;
  /** The connection closed before the answer's end: the client left, or the simulator was killed. */
  readonly aborted: boolean;
  /** Tokens of the answer handed to the socket so far. */
  readonly tokensSent: number;
  /** The answer's text (not its wire form) handed to the socket so far. */
  readonly answered: string;
  /** Generations open when this one arrived, itself included; 0 for other requests. */
  readonly concurrentAtStart: number;
  /** The kind of fault it met; null: none. */
  readonly fault: Fault['kind'] | null;
  /** What the answer says that it used, in the words of its wire, if it gets so far; null: nothing was generated. */
  readonly reports: Readonly<Record<string, unknown>> | null;
}

/** What a server did to have models in memory. */
export interface MemoryCounts {
  /** Loads begun, by model; models that were loaded from the start have none. */
  readonly loads: Readonly<Record<string, number>>;
  /** Models put out while they answered. */
  readonly busyEvictions: number;
  /** Loads of a model that was being loaded already. */
  readonly copies: number;
}

export interface Simulator {
  readonly kind: SimulatorKind;
  readonly name: string;
  /** The server's root, such as `http://127.0.0.1:4321`. */
  readonly url: string;
  readonly port: number;
  /** What a target's `baseUrl` should be. */
  readonly baseUrl: string;
  readonly log: readonly SimulatedRequest[];
  clearLog(): void;
  /** Every matching request meets the fault until it is taken away with null. `refuse` closes the port; await it. */
  setFault(fault: Fault | null): Promise<void>;
  /** The next `count` matching requests meet the fault, before the standing one. Not for `refuse`. */
  faultNext(count: number, fault: Fault): void;
  /** A change of `models` starts them in the states given. */
  setBehaviour(changes: Partial<Behaviour>): void;
  behaviour(): Behaviour;
  /** Generations open now: running, waiting for a slot, or hanging on a fault. */
  active(): number;
  peakActive(): number;
  /** Since the start, or since the models were changed. */
  memory(): MemoryCounts;
  /** Open client connections, idle ones included. */
  connections(): number;
  /** Like a crash: closes the port and resets every connection. */
  kill(): Promise<void>;
  /** Listens again on the same port; models are in the state that they had. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}
