import type { ArrivingRequest, PolicyContext } from '../policy.ts';

/** How a node stands, known or guessed. */
export interface Outlook {
  /** When it has computed all prompts it was given. */
  readonly prefillFreeMs: number;
  /** When each of its slots becomes free; ascending, past for a free one. */
  readonly slotsFreeMs: readonly number[];
}

/** What a late-binding queue asks of whoever knows, or guesses. */
export interface Estimator {
  outlook(node: number, nowMs: number): Outlook;
  /** How long the node would compute the prompt. */
  prefillMs(request: ArrivingRequest, node: number): number;
  /** How long it would on a node of usual speed that holds as much of it as this one. */
  evenPrefillMs(request: ArrivingRequest, node: number): number;
  /** How long the answer would then take. */
  decodeMs(request: ArrivingRequest, node: number): number;
}

interface Held {
  readonly request: ArrivingRequest;
  readonly key: number;
}

/** More of the queue's head is not looked at: those behind cannot be next. */
const LOOK_AHEAD = 64;
/** With one request waiting for every eight nodes, the nodes' own speeds count half. */
const CROWD_FACTOR = 8;

/**
 * Requests wait at the router until a node could begin with their prompt at once. So no guess of a wait can be wrong,
 * and a short prompt need not stand behind a long one that is already bound.
 */
export class LateBindingQueue {
  readonly #context: PolicyContext;
  readonly #estimator: Estimator;
  readonly #patience: number;
  /** By key. */
  readonly #held: Held[] = [];

  /**
   * `patience`: a request may be overtaken by those that arrive up to so many of its own prefill times later, less
   * theirs. 0: first come first served; Infinity: the shortest first, whoever starves.
   */
  constructor(context: PolicyContext, estimator: Estimator, patience: number) {
    this.#context = context;
    this.#estimator = estimator;
    this.#patience = patience;
  }

  add(request: ArrivingRequest, nowMs: number): void {
    const key = this.#keyOf(request, nowMs);
    let at = this.#held.length;
    while (at > 0 && (this.#held[at - 1]?.key ?? 0) > key) at--;
    this.#held.splice(at, 0, { request, key });
  }

  /** Sends off all that can begin now. */
  serve(nowMs: number): void {
    if (this.#held.length === 0) return;
    const plan = this.#emptyPlan(nowMs);
    let idle = plan.filter((node) => node.readyMs() <= nowMs).length;
    for (let at = 0; at < Math.min(this.#held.length, LOOK_AHEAD) && idle > 0; ) {
      const request = this.#held[at]?.request;
      if (request === undefined) return;
      const { node, readyMs } = this.#place(request, plan, nowMs);
      // Whoever is served sooner by a busy node leaves the idle one to the next, and keeps its place there.
      if (readyMs > nowMs) {
        at++;
        continue;
      }
      idle--;
      this.#held.splice(at, 1);
      this.#context.dispatch(request.id, { kind: 'node', node });
    }
  }

  /** When its first token would come, with all that wait before it. */
  firstTokenMs(request: ArrivingRequest, nowMs: number): number {
    const plan = this.#emptyPlan(nowMs);
    const key = this.#keyOf(request, nowMs);
    for (const earlier of this.#held) {
      if (earlier.key > key) break;
      this.#place(earlier.request, plan, nowMs);
    }
    return this.#place(request, plan, nowMs).firstTokenMs;
  }

  #keyOf(request: ArrivingRequest, nowMs: number): number {
    const ownMs = Math.min(...this.#context.nodes.map((_, node) => this.#estimator.prefillMs(request, node)));
    return this.#patience === Number.POSITIVE_INFINITY ? ownMs : nowMs + this.#patience * ownMs;
  }

  /**
   * How much it counts, from 0 to 1, that a node computes this prompt faster than others would. While nobody waits, all.
   * But where many wait, it would give the fast nodes long prompts only: their prefill then limits the fleet while their
   * slots stand empty, and the slow nodes' slots are full of short ones. Then each node gets what comes.
   */
  #ownSpeedWeight(): number {
    return 1 / (1 + (CROWD_FACTOR * this.#held.length) / this.#context.nodes.length);
  }

  #emptyPlan(nowMs: number): PlannedNode[] {
    return this.#context.nodes.map((_, node) => new PlannedNode(this.#estimator.outlook(node, nowMs)));
  }

  /** Enters it in the plan where its first token comes soonest. */
  #place(request: ArrivingRequest, plan: readonly PlannedNode[], nowMs: number) {
    const own = this.#ownSpeedWeight();
    let best = { node: 0, readyMs: Number.POSITIVE_INFINITY, firstTokenMs: Number.POSITIVE_INFINITY };
    let bestCost = Number.POSITIVE_INFINITY;
    plan.forEach((planned, node) => {
      const readyMs = Math.max(nowMs, planned.readyMs());
      const prefillMs = this.#estimator.prefillMs(request, node);
      const cost = readyMs + own * prefillMs + (1 - own) * this.#estimator.evenPrefillMs(request, node);
      if (cost >= bestCost) return;
      bestCost = cost;
      best = { node, readyMs, firstTokenMs: readyMs + prefillMs };
    });
    plan[best.node]?.add(best.firstTokenMs, this.#estimator.decodeMs(request, best.node));
    return best;
  }
}

/** A node with what would be sent to it, in order. */
class PlannedNode {
  #prefillFreeMs: number;
  readonly #slotsFreeMs: number[];

  constructor({ prefillFreeMs, slotsFreeMs }: Outlook) {
    this.#prefillFreeMs = prefillFreeMs;
    this.#slotsFreeMs = [...slotsFreeMs];
  }

  readyMs(): number {
    return Math.max(this.#prefillFreeMs, this.#slotsFreeMs[0] ?? 0);
  }

  add(firstTokenMs: number, decodeMs: number): void {
    this.#prefillFreeMs = firstTokenMs;
    this.#slotsFreeMs[0] = firstTokenMs + decodeMs;
    this.#slotsFreeMs.sort((a, b) => a - b);
  }
}
