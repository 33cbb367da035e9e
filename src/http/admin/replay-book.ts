/** A reply as it is given once more. */
export interface KeptReply {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

/**
 * `begun`: nobody has sent it before, and it is now under way · `running`: it is under way already · `other`: the key
 * was sent with another request · `done`: it was answered.
 */
export type Found =
  | { readonly kind: 'begun' }
  | { readonly kind: 'running' | 'other' }
  | { readonly kind: 'done'; readonly reply: KeptReply };

interface Entry {
  readonly fingerprint: string;
  readonly atMs: number;
  /** Null: it is under way. */
  reply: KeptReply | null;
}

const DAY_MS = 86_400_000;
const LIMITS = { entries: 10_000, bytes: 16 * 1024 * 1024, keptMs: DAY_MS };

/**
 * What writes were answered, by who sent them and the key that came with them (faults A-08). In memory alone: replies
 * may hold secrets that are shown once. Bounded: the oldest answered ones leave first.
 */
export class ReplayBook {
  readonly #limits: typeof LIMITS;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Looks it up, and notes it as under way when it is new: nothing comes in between. */
  begin(name: string, fingerprint: string, nowMs: number): Found {
    this.#letOldGo(nowMs);
    const known = this.#entries.get(name);
    if (known === undefined) {
      this.#entries.set(name, { fingerprint, atMs: nowMs, reply: null });
      return { kind: 'begun' };
    }
    if (known.fingerprint !== fingerprint) return { kind: 'other' };
    return known.reply === null ? { kind: 'running' } : { kind: 'done', reply: known.reply };
  }

  /** Null: nothing was changed, and the same key may be used for another try. */
  end(name: string, reply: KeptReply | null): void {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.reply !== null) return;
    if (reply === null) this.#entries.delete(name);
    else {
      entry.reply = reply;
      this.#bytes += reply.body.length;
    }
  }

  #letOldGo(nowMs: number): void {
    for (const [name, { atMs, reply }] of this.#entries) {
      const isOver = nowMs - atMs >= this.#limits.keptMs;
      const isTooMuch = this.#entries.size >= this.#limits.entries || this.#bytes > this.#limits.bytes;
      if (!isOver && !isTooMuch) return;
      // What is under way cannot be let go: it would be done twice.
      if (reply === null && !isOver) continue;
      this.#entries.delete(name);
      this.#bytes -= reply?.body.length ?? 0;
    }
  }
}
