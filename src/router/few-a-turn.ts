import type { Clock } from '../core/clock.ts';

/**
 * Does the same for each of many, a few in each turn of the event loop: for what is short in itself, but goes on after
 * it has returned, so that its time cannot be taken (see Backlog for what can be timed).
 */
export class FewATurn<Key, Value> {
  readonly #clock: Clock;
  readonly #perTurn: number;
  readonly #does: (key: Key, value: Value) => void;
  readonly #waiting = new Map<Key, Value>();
  #done = 0;
  #armed = false;

  /** `does` must not throw. */
  constructor(clock: Clock, perTurn: number, does: (key: Key, value: Value) => void) {
    this.#clock = clock;
    this.#perTurn = perTurn;
    this.#does = does;
  }

  /** The first few at once, the others in the order in which they are added; one that waits already gets the new value. */
  add(key: Key, value: Value): void {
    if (this.#done < this.#perTurn) {
      this.#done++;
      this.#does(key, value);
    } else this.#waiting.set(key, value);
    this.#arm();
  }

  /** Waits for its turn. */
  has(key: Key): boolean {
    return this.#waiting.has(key);
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#clock.after(0, () => this.#turn());
  }

  #turn(): void {
    this.#armed = false;
    this.#done = 0;
    if (this.#waiting.size === 0) return;
    for (const [key, value] of this.#waiting) {
      if (this.#done++ >= this.#perTurn) break;
      this.#waiting.delete(key);
      this.#does(key, value);
    }
    this.#arm();
  }
}
