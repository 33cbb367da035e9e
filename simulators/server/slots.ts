/** One of the places in which a model answers. */
export interface Slot {
  /** The words that it has in its cache: of its last prompt. */
  prompt: readonly string[];
  /** Order of last use. */
  usedAt: number;
}

/** Requests that run at once; the rest wait in order, unbounded and unannounced, as LM Studio and Ollama let them. */
export class Slots {
  readonly capacity: number;
  readonly #waiting: ((slot: Slot) => void)[] = [];
  /** Slots that were used and are free. */
  readonly #free: Slot[] = [];
  #running = 0;
  #uses = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves to null if the client went away before its turn; else whoever got it must `release`. */
  acquire(gone: AbortSignal, prompt: readonly string[] = []): Promise<Slot | null> {
    if (gone.aborted) return Promise.resolve(null);
    if (this.#running < this.capacity) {
      this.#running++;
      return Promise.resolve(this.#best(prompt));
    }
    return new Promise((resolve) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        resolve(null);
      };
      const start = (slot: Slot): void => {
        gone.removeEventListener('abort', giveUp);
        resolve(slot);
      };
      this.#waiting.push(start);
      gone.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Hands the slot to the next in line, if any. */
  release(slot: Slot): void {
    slot.usedAt = ++this.#uses;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(slot);
      return;
    }
    this.#running--;
    this.#free.push(slot);
  }

  /** The model was put out of memory, and its cache with it. */
  forget(): void {
    this.#free.length = 0;
  }

  /** The free one that shares most with the prompt, else one never used, else the one used longest ago. */
  #best(prompt: readonly string[]): Slot {
    const unused = this.#running + this.#free.length <= this.capacity;
    let best: Slot | null = null;
    let bestShared = unused ? 0 : -1;
    for (const slot of this.#free) {
      const shared = commonPrefix(slot.prompt, prompt);
      const isOlder = shared === bestShared && best !== null && slot.usedAt < best.usedAt;
      if (shared > bestShared || isOlder) [best, bestShared] = [slot, shared];
    }
    if (best === null) return { prompt: [], usedAt: 0 };
    this.#free.splice(this.#free.indexOf(best), 1);
    return best;
  }
}

export function commonPrefix(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
