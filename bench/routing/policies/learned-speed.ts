interface Sample {
  readonly bytes: number;
  readonly msPerByte: number;
}

const REMEMBERED = 32;
/** Weight, in bytes, of the belief that a node is like the others: a few prompts outweigh it. */
const PRIOR_BYTES = 60_000;
/** Before anything was seen: about 5,000 tokens/s. */
const FIRST_GUESS_MS_PER_BYTE = 1 / 21;

/**
 * How fast each node computes prompts: the middle of its last samples, by bytes. A mean would be ruined by one request
 * that had the model loaded; a node with few samples is believed to be like the rest, so that one such does not
 * shut it out for good.
 */
export class LearnedSpeed {
  readonly #samples: Sample[][];
  readonly #middle: number[];
  #typical = FIRST_GUESS_MS_PER_BYTE;

  constructor(nodes: number) {
    this.#samples = Array.from({ length: nodes }, () => []);
    this.#middle = new Array<number>(nodes).fill(Number.NaN);
  }

  learn(node: number, bytes: number, ms: number): void {
    const samples = this.#samples[node];
    if (samples === undefined || bytes <= 0 || ms <= 0) return;
    samples.push({ bytes, msPerByte: ms / bytes });
    if (samples.length > REMEMBERED) samples.shift();
    this.#middle[node] = weightedMiddle(samples);
    const known = this.#middle.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
    this.#typical = known[known.length >> 1] ?? this.#typical;
    const withPrior = [...samples, { bytes: PRIOR_BYTES, msPerByte: this.#typical }];
    this.#middle[node] = weightedMiddle(withPrior);
  }

  /** Of the node in the middle. */
  get typicalMsPerByte(): number {
    return this.#typical;
  }

  msPerByte(node: number): number {
    const middle = this.#middle[node];
    return middle === undefined || Number.isNaN(middle) ? this.#typical : middle;
  }
}

function weightedMiddle(samples: readonly Sample[]): number {
  const sorted = [...samples].sort((a, b) => a.msPerByte - b.msPerByte);
  const half = sorted.reduce((sum, { bytes }) => sum + bytes, 0) / 2;
  let sum = 0;
  for (const { bytes, msPerByte } of sorted) {
    sum += bytes;
    if (sum >= half) return msPerByte;
  }
  return Number.NaN;
}
