import type { Schedule } from './fleet/node.ts';

/** A request as a router sees it on arrival: neither its tokens nor the length of its answer. */
export interface ArrivingRequest {
  /** 0, 1, 2, … in order of arrival. */
  readonly id: number;
  /** Of the request's body, so about four to five per token. */
  readonly promptBytes: number;
  /** A hash per piece of the prompt, the last piece perhaps partial: equal leading ones = a shared beginning. */
  readonly blocks: readonly number[];
  /** As from a header, or from the conversation's beginning: equal for the turns of one conversation. */
  readonly conversationKey: number;
  /** What the client allows; null: it set no limit. */
  readonly maxOutputTokens: number | null;
}

export type Decision =
  | { readonly kind: 'node'; readonly node: number }
  | { readonly kind: 'cloud'; readonly cloud: number }
  /** Stays in the router's own queue until `PolicyContext.dispatch`. */
  | { readonly kind: 'hold' };

/** What a server says at the end of its answer. */
export interface Usage {
  readonly promptTokens: number;
  /** null: this kind of server does not say. */
  readonly cachedTokens: number | null;
  readonly completionTokens: number;
}

/** What a router may know of a node beforehand. Speeds are not among it. */
export interface NodeView {
  readonly name: string;
  readonly slots: number;
}

export interface CloudView {
  readonly name: string;
  readonly dollarsPerMillionIn: number;
  readonly dollarsPerMillionOut: number;
}

/** Perfect information; given to policies that say `needsOracle`. */
export interface Oracle {
  /** What would become of the request at the node if it was sent there now, seen from the router. */
  preview(id: number, node: number): Schedule;
  /** When the node could begin with another prompt, and when its slots become free (ascending), seen from the router. */
  outlook(node: number): { readonly prefillFreeMs: number; readonly slotsFreeMs: readonly number[] };
}

export interface PolicyContext {
  readonly nodes: readonly NodeView[];
  readonly clouds: readonly CloudView[];
  /** Seeded. */
  readonly random: () => number;
  /** Throws for a policy that did not ask for it. */
  readonly oracle: Oracle;
  /** Sends off a request that was held. Not from within `arrive` for the request that arrives. */
  dispatch(id: number, to: Exclude<Decision, { kind: 'hold' }>): void;
  /** `RoutingPolicy.woken` is called then. Several wishes are several calls. */
  wakeAt(ms: number): void;
}

/**
 * Decides where requests go, on virtual time. Every method may dispatch held requests through the context that the
 * policy's factory was given. After an event has been told, `slotFreed` or `arrive` follow at the same instant.
 */
export interface RoutingPolicy {
  arrive(request: ArrivingRequest, nowMs: number): Decision;
  /** Its request has left the router: at once after `arrive` decided so, or after `PolicyContext.dispatch`. */
  dispatched?(id: number, to: Exclude<Decision, { kind: 'hold' }>, nowMs: number): void;
  firstToken?(id: number, nowMs: number): void;
  finished?(id: number, nowMs: number, usage: Usage): void;
  /** Follows `finished` when the request was at a node. */
  slotFreed?(node: number, nowMs: number): void;
  woken?(nowMs: number): void;
}

export interface PolicyFactory {
  readonly name: string;
  /** One sentence for the page. */
  readonly says: string;
  readonly needsOracle?: boolean;
  create(context: PolicyContext): RoutingPolicy;
}
