/**
 * What is made at its first use, and once: whoever asks meanwhile waits for the same. A failure is not remembered: the
 * next one who asks has it tried again.
 */
export class Once<Value> {
  readonly #make: () => Promise<Value>;
  #made: Promise<Value> | null = null;

  constructor(make: () => Promise<Value>) {
    this.#make = make;
  }

  /** Made, or being made. */
  get begun(): boolean {
    return this.#made !== null;
  }

  /** Rejects as the making does. */
  get(): Promise<Value> {
    this.#made ??= this.#begin();
    return this.#made;
  }

  #begin(): Promise<Value> {
    const made = (async () => this.#make())();
    // Told before anybody who waits: whoever asks on hearing of the failure begins anew.
    made.catch(() => {
      this.#made = null;
    });
    return made;
  }
}
