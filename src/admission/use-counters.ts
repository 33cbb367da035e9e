import { MinuteWindow } from './minute-window.ts';

/** What one key, project, organisation or model uses now. */
export interface UseCounter {
  readonly requests: MinuteWindow;
  readonly tokens: MinuteWindow;
  /** Requests that have not ended. */
  running: number;
}

/** Looked at for each that is asked for: so all are looked at before twice as many requests as there are have come. */
const SWEPT_AT_ONCE = 2;

/** The counters of one scope. Those that nobody used for a minute leave, without a timer. */
export class UseCounters {
  readonly #counters = new Map<string, UseCounter>();
  #sweep: Iterator<[string, UseCounter]> = this.#counters.entries();

  get size(): number {
    return this.#counters.size;
  }

  /** Good until the present turn of the event loop ends, or for as long as `running` is above 0. */
  of(id: string, nowMs: number): UseCounter {
    this.#letIdleGo(nowMs);
    let counter = this.#counters.get(id);
    if (counter === undefined) {
      counter = { requests: new MinuteWindow(), tokens: new MinuteWindow(), running: 0 };
      this.#counters.set(id, counter);
    }
    return counter;
  }

  #letIdleGo(nowMs: number): void {
    for (let looked = 0; looked < SWEPT_AT_ONCE; looked++) {
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = this.#counters.entries();
        return;
      }
      const [id, { requests, tokens, running }] = next.value;
      if (running === 0 && requests.total(nowMs) === 0 && tokens.total(nowMs) === 0) this.#counters.delete(id);
    }
  }
}
