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

/** What is kept for one organisation. */
interface Share {
  /** Oldest first. */
  readonly entries: Map<string, Entry>;
  bytes: number;
}

/**
 * What writes were answered, by who sent them and the key that came with them (faults A-08). In memory alone: replies
 * may hold secrets that are shown once. Bounded: the oldest answered ones of whichever organisation has most leave
 * first, so that none of them can push out what is kept for the others.
 */
export class ReplayBook {
  readonly #limits: typeof LIMITS;
  readonly #shares = new Map<string, Share>();
  #size = 0;
  #bytes = 0;

  constructor(limits: Partial<typeof LIMITS> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  get size(): number {
    return this.#size;
  }

  /** Looks it up, and notes it as under way when it is new: nothing comes in between. */
  begin(organisationId: string, name: string, fingerprint: string, nowMs: number): Found {
    this.#letOldGo(nowMs);
    this.#makeRoom();
    const known = this.#shares.get(organisationId)?.entries.get(name);
    if (known === undefined) {
      this.#shareOf(organisationId).entries.set(name, { fingerprint, atMs: nowMs, reply: null });
      this.#size++;
      return { kind: 'begun' };
    }
    if (known.fingerprint !== fingerprint) return { kind: 'other' };
    return known.reply === null ? { kind: 'running' } : { kind: 'done', reply: known.reply };
  }

  /** Null: nothing was changed, and the same key may be used for another try. */
  end(organisationId: string, name: string, reply: KeptReply | null): void {
    const share = this.#shares.get(organisationId);
    const entry = share?.entries.get(name);
    if (share === undefined || entry === undefined || entry.reply !== null) return;
    if (reply === null) this.#remove(organisationId, share, name, entry);
    else {
      entry.reply = reply;
      share.bytes += reply.body.length;
      this.#bytes += reply.body.length;
    }
  }

  #shareOf(organisationId: string): Share {
    const share = this.#shares.get(organisationId) ?? { entries: new Map(), bytes: 0 };
    this.#shares.set(organisationId, share);
    return share;
  }

  #remove(organisationId: string, share: Share, name: string, { reply }: Entry): void {
    const length = reply?.body.length ?? 0;
    share.entries.delete(name);
    share.bytes -= length;
    this.#bytes -= length;
    this.#size--;
    if (share.entries.size === 0) this.#shares.delete(organisationId);
  }

  #letOldGo(nowMs: number): void {
    for (const [organisationId, share] of this.#shares) {
      for (const [name, entry] of share.entries) {
        if (nowMs - entry.atMs < this.#limits.keptMs) break;
        this.#remove(organisationId, share, name, entry);
      }
    }
  }

  #makeRoom(): void {
    while (this.#size >= this.#limits.entries || this.#bytes > this.#limits.bytes) {
      const amountOf = this.#bytes > this.#limits.bytes ? bytesOf : entriesOf;
      const most = [...this.#shares].toSorted(([, one], [, other]) => amountOf(other) - amountOf(one));
      if (!most.some(([organisationId, share]) => this.#removeOldest(organisationId, share))) return;
    }
  }

  /** False: all are under way. Those cannot be let go: they would be done twice. */
  #removeOldest(organisationId: string, share: Share): boolean {
    for (const [name, entry] of share.entries) {
      if (entry.reply === null) continue;
      this.#remove(organisationId, share, name, entry);
      return true;
    }
    return false;
  }
}

const bytesOf = ({ bytes }: Share): number => bytes;
const entriesOf = ({ entries }: Share): number => entries.size;
