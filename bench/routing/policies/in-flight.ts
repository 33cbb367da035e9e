import type { Decision, NodeView } from '../policy.ts';

/** How many requests the router has sent to each node and not seen finished: what every baseline knows. */
export class InFlight {
  readonly counts: number[];
  readonly #nodes: readonly NodeView[];
  readonly #nodeOf = new Map<number, number>();
  #turn = 0;

  constructor(nodes: readonly NodeView[]) {
    this.#nodes = nodes;
    this.counts = nodes.map(() => 0);
  }

  sent(id: number, to: Decision): void {
    if (to.kind !== 'node') return;
    this.#nodeOf.set(id, to.node);
    this.counts[to.node] = this.at(to.node) + 1;
  }

  finished(id: number): void {
    const node = this.#nodeOf.get(id);
    if (node === undefined) return;
    this.#nodeOf.delete(id);
    this.counts[node] = this.at(node) - 1;
  }

  at(node: number): number {
    return this.counts[node] ?? 0;
  }

  /** Share of its slots in use; above 1: requests wait in the server's queue. */
  load(node: number): number {
    return this.at(node) / (this.#nodes[node]?.slots ?? 1);
  }

  /** Of those that `accepts` lets through; equals in turn. −1: none. */
  leastLoaded(accepts: (node: number) => boolean = () => true): number {
    const count = this.#nodes.length;
    let best = -1;
    for (let step = 0; step < count; step++) {
      const node = (this.#turn + step) % count;
      if (accepts(node) && (best === -1 || this.load(node) < this.load(best))) best = node;
    }
    if (best !== -1) this.#turn = (best + 1) % count;
    return best;
  }
}
