import type {
  ArrivingRequest,
  CloudView,
  Decision,
  PolicyContext,
  PolicyFactory,
  RoutingPolicy,
  Usage,
} from '../policy.ts';
import { type Estimator, LateBindingQueue, type Outlook } from './late-binding.ts';
import { LearnedSpeed } from './learned-speed.ts';
import { SlotMemory } from './slot-memory.ts';

export interface SketchOptions {
  /** See LateBindingQueue. Default: 2, where short prompts gain much and long ones still lose little. */
  readonly patience?: number;
  readonly overflow?: OverflowRule;
}

/** Which requests go to the cloud. */
export type OverflowRule =
  /** Those whose first token is predicted to take longer. */
  | { readonly kind: 'limit'; readonly ms: number }
  /** Those whose first token is predicted to come so much sooner there for each dollar. */
  | { readonly kind: 'worth'; readonly secondsPerDollar: number };

/** Nothing is known of answers yet. */
const FIRST_GUESS_DECODE_MS = 8_000;
const FIRST_GUESS_ANSWER_TOKENS = 300;
/** Only until the cloud has shown it. */
const FIRST_GUESS_CLOUD_MS = 1_000;
/** For prices, which are of tokens; what servers say in `usage` corrects it. */
const FIRST_GUESS_BYTES_PER_TOKEN = 4;
/** A prompt that takes longer than predicted is believed to be about to end. */
const OVERDUE_SHARE = 0.1;
/** Weight of the newest answer in the mean. */
const FORGETTING = 0.05;

export function predictedWaitSketch(options: SketchOptions = {}): PolicyFactory {
  return {
    name: 'predicted-wait-sketch',
    says: 'a stand-in that guesses from what a router sees: held until a node could begin, short prompts before long ones within bounds, then the node whose first token should come first',
    create: (context) => new PredictedWait(context, options),
  };
}

interface Sent {
  readonly request: ArrivingRequest;
  readonly node: number;
  readonly sentMs: number;
  readonly uncachedBytes: number;
  firstTokenMs: number | null;
}

class PredictedWait implements RoutingPolicy, Estimator {
  readonly #context: PolicyContext;
  readonly #queue: LateBindingQueue;
  readonly #overflow: OverflowRule | undefined;
  readonly #speed: LearnedSpeed;
  readonly #memory: readonly SlotMemory[];
  readonly #inFlight: readonly Map<number, Sent>[];
  readonly #requests = new Map<number, ArrivingRequest>();
  readonly #nodeOf = new Map<number, number>();
  readonly #lastFirstTokenMs: number[];
  readonly #meanDecodeMs: number[];
  readonly #sentToCloud = new Map<number, { readonly request: ArrivingRequest; readonly sentMs: number }>();
  #meanAnswerTokens = FIRST_GUESS_ANSWER_TOKENS;
  #bytesPerToken = FIRST_GUESS_BYTES_PER_TOKEN;
  #cloudMs = FIRST_GUESS_CLOUD_MS;

  constructor(context: PolicyContext, { patience = 2, overflow }: SketchOptions) {
    const { nodes } = context;
    this.#context = context;
    this.#overflow = overflow;
    this.#queue = new LateBindingQueue(context, this, patience);
    this.#speed = new LearnedSpeed(nodes.length);
    this.#memory = nodes.map(({ slots }) => new SlotMemory(slots));
    this.#inFlight = nodes.map(() => new Map<number, Sent>());
    this.#lastFirstTokenMs = nodes.map(() => 0);
    this.#meanDecodeMs = nodes.map(() => FIRST_GUESS_DECODE_MS);
  }

  arrive(request: ArrivingRequest, nowMs: number): Decision {
    this.#requests.set(request.id, request);
    if (this.#goesOut(request, nowMs)) return { kind: 'cloud', cloud: 0 };
    this.#queue.add(request, nowMs);
    // It may be sent only once it has arrived.
    this.#context.wakeAt(nowMs);
    return { kind: 'hold' };
  }

  #goesOut(request: ArrivingRequest, nowMs: number): boolean {
    const rule = this.#overflow;
    const cloud = this.#context.clouds[0];
    if (rule === undefined || cloud === undefined) return false;
    const predictedMs = this.#queue.firstTokenMs(request, nowMs) - nowMs;
    if (rule.kind === 'limit') return predictedMs > rule.ms;
    const savedSeconds = (predictedMs - this.#cloudMs) / 1000;
    return savedSeconds > rule.secondsPerDollar * this.#dollars(request, cloud);
  }

  #dollars(request: ArrivingRequest, { dollarsPerMillionIn, dollarsPerMillionOut }: CloudView): number {
    const answerTokens = Math.min(this.#meanAnswerTokens, request.maxOutputTokens ?? Number.POSITIVE_INFINITY);
    const promptTokens = request.promptBytes / this.#bytesPerToken;
    return (promptTokens * dollarsPerMillionIn + answerTokens * dollarsPerMillionOut) / 1_000_000;
  }

  dispatched(id: number, to: Decision, nowMs: number): void {
    const request = this.#requests.get(id);
    if (request === undefined || to.kind === 'hold') return;
    this.#requests.delete(id);
    if (to.kind === 'cloud') {
      this.#sentToCloud.set(id, { request, sentMs: nowMs });
      return;
    }
    this.#nodeOf.set(id, to.node);
    const uncachedBytes = this.#uncachedBytes(request, to.node);
    this.#inFlight[to.node]?.set(id, { request, node: to.node, sentMs: nowMs, uncachedBytes, firstTokenMs: null });
    this.#memory[to.node]?.take(request);
  }

  firstToken(id: number, nowMs: number): void {
    const outside = this.#sentToCloud.get(id);
    if (outside !== undefined) this.#cloudMs = moved(this.#cloudMs, nowMs - outside.sentMs);
    const sent = this.#sentRequest(id);
    if (sent === undefined) return;
    const { node, sentMs, uncachedBytes } = sent;
    this.#speed.learn(node, uncachedBytes, nowMs - Math.max(sentMs, this.#lastFirstTokenMs[node] ?? 0));
    this.#lastFirstTokenMs[node] = nowMs;
    sent.firstTokenMs = nowMs;
    this.#queue.serve(nowMs);
  }

  finished(id: number, nowMs: number, usage: Usage): void {
    const sent = this.#sentRequest(id);
    const request = sent?.request ?? this.#sentToCloud.get(id)?.request;
    this.#sentToCloud.delete(id);
    this.#meanAnswerTokens = moved(this.#meanAnswerTokens, usage.completionTokens);
    if (request !== undefined) {
      this.#bytesPerToken = moved(this.#bytesPerToken, request.promptBytes / usage.promptTokens);
    }
    if (sent === undefined) return;
    const decodeMs = nowMs - (sent.firstTokenMs ?? nowMs);
    this.#meanDecodeMs[sent.node] = moved(this.#meanDecodeMs[sent.node] ?? FIRST_GUESS_DECODE_MS, decodeMs);
    this.#inFlight[sent.node]?.delete(id);
    this.#memory[sent.node]?.release(id);
    this.#nodeOf.delete(id);
  }

  slotFreed(_node: number, nowMs: number): void {
    this.#queue.serve(nowMs);
  }

  woken(nowMs: number): void {
    this.#queue.serve(nowMs);
  }

  outlook(node: number, nowMs: number): Outlook {
    const slots = this.#context.nodes[node]?.slots ?? 0;
    const slotsFreeMs: number[] = [];
    let prefillFreeMs = nowMs;
    for (const sent of this.#inFlight[node]?.values() ?? []) {
      if (sent.firstTokenMs === null) prefillFreeMs = Math.max(prefillFreeMs, this.#prefillEndMs(sent, nowMs));
      slotsFreeMs.push(this.#freeMs(sent, nowMs));
    }
    while (slotsFreeMs.length < slots) slotsFreeMs.push(nowMs);
    return { prefillFreeMs, slotsFreeMs: slotsFreeMs.sort((a, b) => a - b) };
  }

  prefillMs(request: ArrivingRequest, node: number): number {
    return this.#uncachedBytes(request, node) * this.#speed.msPerByte(node);
  }

  evenPrefillMs(request: ArrivingRequest, node: number): number {
    return this.#uncachedBytes(request, node) * this.#speed.typicalMsPerByte;
  }

  decodeMs(_request: ArrivingRequest, node: number): number {
    return this.#meanDecodeMs[node] ?? FIRST_GUESS_DECODE_MS;
  }

  #uncachedBytes(request: ArrivingRequest, node: number): number {
    return request.promptBytes * (1 - (this.#memory[node]?.cachedShare(request) ?? 0));
  }

  #prefillEndMs({ node, sentMs, uncachedBytes }: Sent, nowMs: number): number {
    const ownMs = uncachedBytes * this.#speed.msPerByte(node);
    const endMs = Math.max(sentMs, this.#lastFirstTokenMs[node] ?? 0) + ownMs;
    return Math.max(endMs, nowMs + Math.max(1, OVERDUE_SHARE * ownMs));
  }

  /** Answers vary so much that one that has run for a while is expected to run on nearly as long as a new one. */
  #freeMs(sent: Sent, nowMs: number): number {
    const meanMs = this.decodeMs(sent.request, sent.node);
    if (sent.firstTokenMs === null) return this.#prefillEndMs(sent, nowMs) + meanMs;
    return Math.max(sent.firstTokenMs + meanMs, nowMs + 0.25 * meanMs);
  }

  #sentRequest(id: number): Sent | undefined {
    const node = this.#nodeOf.get(id);
    return node === undefined ? undefined : this.#inFlight[node]?.get(id);
  }
}

/** The mean after one more sample. */
function moved(mean: number, sample: number): number {
  return mean + FORGETTING * (sample - mean);
}
