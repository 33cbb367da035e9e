import type { ArrivingRequest, Decision, PolicyContext, PolicyFactory, RoutingPolicy } from '../policy.ts';
import { type Estimator, LateBindingQueue, type Outlook } from './late-binding.ts';
import { LearnedSpeed } from './learned-speed.ts';
import { SlotMemory } from './slot-memory.ts';

export interface SketchOptions {
  readonly name?: string;
  /** See LateBindingQueue. */
  readonly patience?: number;
  /** A request whose first token is predicted to take longer goes to the cloud. Default: none does. */
  readonly limitMs?: number;
}

/** Nothing is known of answers yet. */
const FIRST_GUESS_DECODE_MS = 8_000;
/** A prompt that takes longer than predicted is believed to be about to end. */
const OVERDUE_SHARE = 0.1;
/** Weight of the newest answer in the mean. */
const FORGETTING = 0.05;

export function predictedWaitSketch(options: SketchOptions = {}): PolicyFactory {
  return {
    name: options.name ?? 'predicted-wait-sketch',
    says: 'a stand-in that guesses from what a router sees: held until a node could begin, then the node whose first token should come first',
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
  readonly #limitMs: number;
  readonly #speed: LearnedSpeed;
  readonly #memory: readonly SlotMemory[];
  readonly #inFlight: readonly Map<number, Sent>[];
  readonly #requests = new Map<number, ArrivingRequest>();
  readonly #nodeOf = new Map<number, number>();
  readonly #lastFirstTokenMs: number[];
  readonly #meanDecodeMs: number[];

  constructor(context: PolicyContext, { patience = 1, limitMs = Number.POSITIVE_INFINITY }: SketchOptions) {
    const { nodes } = context;
    this.#context = context;
    this.#limitMs = limitMs;
    this.#queue = new LateBindingQueue(context, this, patience);
    this.#speed = new LearnedSpeed(nodes.length);
    this.#memory = nodes.map(({ slots }) => new SlotMemory(slots));
    this.#inFlight = nodes.map(() => new Map<number, Sent>());
    this.#lastFirstTokenMs = nodes.map(() => 0);
    this.#meanDecodeMs = nodes.map(() => FIRST_GUESS_DECODE_MS);
  }

  arrive(request: ArrivingRequest, nowMs: number): Decision {
    if (this.#context.clouds.length > 0 && this.#queue.firstTokenMs(request, nowMs) - nowMs > this.#limitMs) {
      return { kind: 'cloud', cloud: 0 };
    }
    this.#requests.set(request.id, request);
    this.#queue.add(request, nowMs);
    // It may be sent only once it has arrived.
    this.#context.wakeAt(nowMs);
    return { kind: 'hold' };
  }

  dispatched(id: number, to: Decision, nowMs: number): void {
    const request = this.#requests.get(id);
    if (to.kind !== 'node' || request === undefined) return;
    this.#requests.delete(id);
    this.#nodeOf.set(id, to.node);
    const uncachedBytes = this.#uncachedBytes(request, to.node);
    this.#inFlight[to.node]?.set(id, { request, node: to.node, sentMs: nowMs, uncachedBytes, firstTokenMs: null });
    this.#memory[to.node]?.take(request);
  }

  firstToken(id: number, nowMs: number): void {
    const sent = this.#sentRequest(id);
    if (sent === undefined) return;
    const { node, sentMs, uncachedBytes } = sent;
    this.#speed.learn(node, uncachedBytes, nowMs - Math.max(sentMs, this.#lastFirstTokenMs[node] ?? 0));
    this.#lastFirstTokenMs[node] = nowMs;
    sent.firstTokenMs = nowMs;
    this.#queue.serve(nowMs);
  }

  finished(id: number, nowMs: number): void {
    const sent = this.#sentRequest(id);
    if (sent === undefined) return;
    const mean = this.#meanDecodeMs[sent.node] ?? FIRST_GUESS_DECODE_MS;
    this.#meanDecodeMs[sent.node] = mean + FORGETTING * (nowMs - (sent.firstTokenMs ?? nowMs) - mean);
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
