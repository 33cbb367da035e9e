/** Requests that run at once; the rest wait in order, unbounded and unannounced, as LM Studio and Ollama let them. */
export class Slots {
  readonly capacity: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves to false if the client went away before its turn; else whoever got it must `release`. */
  acquire(gone: AbortSignal): Promise<boolean> {
    if (gone.aborted) return Promise.resolve(false);
    if (this.#running < this.capacity) {
      this.#running++;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        resolve(false);
      };
      const start = (): void => {
        gone.removeEventListener('abort', giveUp);
        resolve(true);
      };
      this.#waiting.push(start);
      gone.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Hands the slot to the next in line, if any. */
  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
