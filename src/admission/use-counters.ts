import { MinuteWindow } from './minute-window.ts';

/** What one key, project, organisation or model uses now. */
export interface UseCounter {
  readonly requests: MinuteWindow;
  readonly tokens: MinuteWindow;
  /** Requests that have not ended. */
  running: number;
  /** When it was asked for last. */
  askedForMs: number;
}

/** As long as what was used counts at least: who was asked for lately need not be looked at. */
const KEPT_MS = 60_000;

/** One is looked at for so many that are asked for: each is far away in memory, and a request has several. */
const ASKED_FOR_EACH_LOOK = 2;

/** The counters of one scope. Those that nobody used for a minute leave, without a timer. */
export class UseCounters {
  readonly #counters = new Map<string, UseCounter>();
  #sweep: Iterator<[string, UseCounter]> = this.#counters.entries();
  #asked = 0;

  get size(): number {
    return this.#counters.size;
  }

  /** Good until the present turn of the event loop ends, or for as long as `running` is above 0. */
  of(id: string, nowMs: number): UseCounter {
    this.#letIdleGo(nowMs);
    let counter = this.#counters.get(id);
    if (counter === undefined) {
      counter = { requests: new MinuteWindow(), tokens: new MinuteWindow(), running: 0, askedForMs: nowMs };
      this.#counters.set(id, counter);
    } else counter.askedForMs = nowMs;
    return counter;
  }

  #letIdleGo(nowMs: number): void {
    if (++this.#asked % ASKED_FOR_EACH_LOOK !== 0) return;
    const next = this.#sweep.next();
    if (next.done === true) {
      this.#sweep = this.#counters.entries();
      return;
    }
    const [id, { requests, tokens, running, askedForMs }] = next.value;
    if (nowMs - askedForMs < KEPT_MS) return;
    if (running === 0 && requests.total(nowMs) === 0 && tokens.total(nowMs) === 0) this.#counters.delete(id);
  }
}
