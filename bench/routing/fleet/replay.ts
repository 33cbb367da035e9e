import { seededRandom } from '../../statistics.ts';
import type { ArrivingRequest, Decision, Oracle, PolicyContext, PolicyFactory, RoutingPolicy } from '../policy.ts';
import type { Trace, TraceRequest } from '../trace/trace.ts';
import type { CloudSpec, Fleet } from './fleet.ts';
import { Heap } from './heap.ts';
import { type Schedule, SimulatedNode } from './node.ts';

/** What became of one request. */
export interface ServedRequest {
  readonly arrivalMs: number;
  readonly sentMs: number;
  readonly firstTokenMs: number;
  readonly finishedMs: number;
  readonly inputTokens: number;
  readonly cachedTokens: number;
  /** null: served by the cloud. */
  readonly node: number | null;
  readonly dollars: number;
}

type Destination = Exclude<Decision, { kind: 'hold' }>;

type Event =
  | { readonly kind: 'arrival'; readonly id: number }
  | { readonly kind: 'firstToken'; readonly id: number }
  | { readonly kind: 'finished'; readonly id: number }
  | { readonly kind: 'wake' };

/** A program that goes wrong, not a figure that is bad. */
export class PolicyError extends Error {}

const BYTES_PER_TOKEN = 4.2;
/** Standard deviation, of one: texts differ in how many bytes a token takes. */
const BYTES_NOISE = 0.1;

/** Replays the trace in virtual time. The same arguments give the same answers. Throws PolicyError. */
export function replay(trace: Trace, fleet: Fleet, factory: PolicyFactory, seed: number): ServedRequest[] {
  return new Replay(trace, fleet, factory, seed).run();
}

class Replay {
  readonly #requests: readonly TraceRequest[];
  readonly #visible: readonly ArrivingRequest[];
  readonly #fleet: Fleet;
  readonly #nodes: readonly SimulatedNode[];
  readonly #events = new Heap<Event>();
  readonly #served: (ServedRequest | undefined)[];
  readonly #name: string;
  readonly #policy: RoutingPolicy;
  #nowMs = 0;
  #arrived = 0;

  constructor(trace: Trace, fleet: Fleet, factory: PolicyFactory, seed: number) {
    this.#requests = trace.requests;
    this.#visible = visibleRequests(trace.requests, seed);
    this.#fleet = fleet;
    this.#nodes = fleet.nodes.map((spec) => new SimulatedNode(spec));
    this.#served = new Array<ServedRequest | undefined>(trace.requests.length);
    this.#name = factory.name;
    this.#policy = factory.create(this.#context(factory, seed));
  }

  run(): ServedRequest[] {
    this.#requests.forEach(({ arrivalMs }, id) => {
      this.#events.push(arrivalMs, { kind: 'arrival', id });
    });
    for (let next = this.#events.pop(); next !== null; next = this.#events.pop()) {
      this.#nowMs = next.key;
      this.#tell(next.value);
    }
    // Not #served.map: it would pass over those that are missing.
    return this.#requests.map((_, id) => {
      const served = this.#served[id];
      if (served === undefined) throw new PolicyError(`${this.#name} never sent request ${id}`);
      return served;
    });
  }

  #context(factory: PolicyFactory, seed: number): PolicyContext {
    const oracle = this.#oracle();
    return {
      nodes: this.#fleet.nodes.map(({ name, slots }) => ({ name, slots })),
      clouds: this.#fleet.clouds.map(({ name, dollarsPerMillionIn, dollarsPerMillionOut }) => ({
        name,
        dollarsPerMillionIn,
        dollarsPerMillionOut,
      })),
      random: seededRandom(seed + 1),
      get oracle() {
        if (factory.needsOracle !== true) throw new PolicyError(`${factory.name} did not ask for the oracle`);
        return oracle;
      },
      dispatch: (id, to) => this.#dispatch(id, to),
      wakeAt: (ms) => this.#events.push(Math.max(ms, this.#nowMs), { kind: 'wake' }),
    };
  }

  #oracle(): Oracle {
    return {
      preview: (id, at) => {
        const node = this.#node(at);
        return atRouter(node.preview(this.#request(id), this.#nowMs + node.spec.networkMs), node.spec.networkMs);
      },
      // When they must be sent in order to arrive then; what is seen at the node is heard of that much later.
      outlook: (at) => this.#node(at).outlook(),
    };
  }

  #tell(event: Event): void {
    if (event.kind === 'arrival') this.#arrive(event.id);
    else if (event.kind === 'firstToken') this.#policy.firstToken?.(event.id, this.#nowMs);
    else if (event.kind === 'finished') this.#finish(event.id);
    else this.#policy.woken?.(this.#nowMs);
  }

  #arrive(id: number): void {
    const request = this.#visible[id];
    if (request === undefined) return;
    const decision = this.#policy.arrive(request, this.#nowMs);
    this.#arrived = id + 1;
    if (decision.kind !== 'hold') this.#dispatch(id, decision);
  }

  #finish(id: number): void {
    const served = this.#served[id];
    if (served === undefined) return;
    const reports = served.node === null || this.#node(served.node).spec.reportsCachedTokens;
    this.#policy.finished?.(id, this.#nowMs, {
      promptTokens: served.inputTokens,
      cachedTokens: reports ? served.cachedTokens : null,
      completionTokens: this.#request(id).outputTokens,
    });
    if (served.node !== null) this.#policy.slotFreed?.(served.node, this.#nowMs);
  }

  #dispatch(id: number, to: Destination): void {
    if (id >= this.#arrived) throw new PolicyError(`${this.#name} sent request ${id}, which has not arrived`);
    if (this.#served[id] !== undefined) throw new PolicyError(`${this.#name} sent request ${id} twice`);
    const served = to.kind === 'cloud' ? this.#serveInCloud(id, to.cloud) : this.#serveAtNode(id, to.node);
    this.#served[id] = served;
    this.#policy.dispatched?.(id, to, this.#nowMs);
    this.#events.push(served.firstTokenMs, { kind: 'firstToken', id });
    this.#events.push(served.finishedMs, { kind: 'finished', id });
  }

  #serveAtNode(id: number, at: number): ServedRequest {
    const request = this.#request(id);
    const node = this.#node(at);
    const { networkMs } = node.spec;
    const schedule = node.take(request, this.#nowMs + networkMs);
    return { ...this.#base(request), ...times(atRouter(schedule, networkMs)), node: at, dollars: 0 };
  }

  #serveInCloud(id: number, at: number): ServedRequest {
    const cloud = this.#fleet.clouds[at];
    if (cloud === undefined) throw new PolicyError(`${this.#name} chose cloud ${at}, which does not exist`);
    const request = this.#request(id);
    const firstTokenMs = this.#nowMs + cloud.firstTokenMs;
    const decodeMs = (Math.max(0, request.outputTokens - 1) / cloud.decodeTokensPerSecond) * 1000;
    return {
      ...this.#base(request),
      firstTokenMs,
      finishedMs: firstTokenMs + decodeMs,
      cachedTokens: 0,
      node: null,
      dollars: priceOf(request, cloud),
    };
  }

  #base(request: TraceRequest): Pick<ServedRequest, 'arrivalMs' | 'sentMs' | 'inputTokens'> {
    return { arrivalMs: request.arrivalMs, sentMs: this.#nowMs, inputTokens: request.inputTokens };
  }

  #request(id: number): TraceRequest {
    const request = this.#requests[id];
    if (request === undefined) throw new PolicyError(`${this.#name} named request ${id}, which does not exist`);
    return request;
  }

  #node(at: number): SimulatedNode {
    const node = this.#nodes[at];
    if (node === undefined) throw new PolicyError(`${this.#name} chose node ${at}, which does not exist`);
    return node;
  }
}

function visibleRequests(requests: readonly TraceRequest[], seed: number): ArrivingRequest[] {
  const random = seededRandom(seed);
  return requests.map(({ inputTokens, outputTokens, blocks }, id) => {
    const noise = 1 + BYTES_NOISE * boundedNormal(random);
    const isLimited = random() < 0.5;
    return {
      id,
      promptBytes: Math.round(inputTokens * BYTES_PER_TOKEN * noise),
      blocks,
      // The first block may be everybody's system prompt; the second one is the conversation's own.
      conversationKey: blocks[1] ?? blocks[0] ?? -1,
      maxOutputTokens: isLimited ? 2 ** Math.ceil(Math.log2(outputTokens + 1)) : null,
    };
  });
}

/** Within three standard deviations. */
function boundedNormal(random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.max(-3, Math.min(3, normal));
}

/** When things must be sent, and are seen, by the router. */
function atRouter(schedule: Schedule, networkMs: number): Schedule {
  return {
    ...schedule,
    slotMs: schedule.slotMs - networkMs,
    prefillMs: schedule.prefillMs - networkMs,
    firstTokenMs: schedule.firstTokenMs + networkMs,
    finishedMs: schedule.finishedMs + networkMs,
  };
}

function times({ firstTokenMs, finishedMs, cachedTokens }: Schedule) {
  return { firstTokenMs, finishedMs, cachedTokens };
}

function priceOf({ inputTokens, outputTokens }: TraceRequest, cloud: CloudSpec): number {
  return (inputTokens * cloud.dollarsPerMillionIn + outputTokens * cloud.dollarsPerMillionOut) / 1_000_000;
}
