/** Which pieces of prompts were sent to which node: what cache-aware routers believe the nodes still hold. */
export class PrefixIndex {
  /** In order of last use. */
  readonly #blocks: readonly Set<number>[];
  readonly #most: number;

  /** `most`: pieces remembered of a node; those unused for longest go first. */
  constructor(nodes: number, most: number) {
    this.#blocks = Array.from({ length: nodes }, () => new Set<number>());
    this.#most = most;
  }

  /** Leading pieces that were sent to the node before. */
  matched(node: number, blocks: readonly number[]): number {
    const known = this.#blocks[node];
    let at = 0;
    while (at < blocks.length && known?.has(blocks[at] ?? -1) === true) at++;
    return at;
  }

  insert(node: number, blocks: readonly number[]): void {
    const known = this.#blocks[node];
    if (known === undefined) return;
    // The beginnings last: what is built on them goes before them.
    for (let at = blocks.length - 1; at >= 0; at--) {
      const block = blocks[at] ?? -1;
      known.delete(block);
      known.add(block);
    }
    for (const oldest of known) {
      if (known.size <= this.#most) break;
      known.delete(oldest);
    }
  }
}
