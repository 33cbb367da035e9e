import { WeightedMean } from './weighted-mean.ts';

/** Above, every further answer is taken to slow the others as the last measured step did. */
export const MOST_BESIDE = 32;
const NEWEST_WEIGHT = 0.1;
/** One value may move the mean by this factor at most: a stalled stream is no speed. */
const MOST_CHANGE = 2;
/** Until measured: how much each further answer slows the others. Small models on one GPU share it nearly freely. */
const USUAL_SLOWDOWN = 0.05;
/** Fewer answers at one number say too little of how the numbers differ. */
const ENOUGH = 3;
/** Servers do not become faster by having more to do, and hardly slower than by taking turns. */
const MOST_SLOWDOWN = 1;

/** What a server can take for a token: what lies outside was counted or measured wrongly. s. */
export const TOKEN_SECONDS = { least: 1e-6, most: 60 } as const;
/** However many answers were kept, new ones must be able to outweigh them. */
const MOST_RESTORED = 1_000;

/** How long a server takes for one token of an answer, by how many answers it writes at once. */
export class DecodeSpeed {
  /** At index n: seconds a token while n answers are written. */
  readonly #byBeside: WeightedMean[] = [];
  #count = 0;
  /** How much each further answer slows the others, as a share of one alone. */
  #slowdown = USUAL_SLOWDOWN;

  get count(): number {
    return this.#count;
  }

  /** `beside`: answers written at once on average, this one included, ≥ 1. */
  record(beside: number, secondsPerToken: number): void {
    if (!(secondsPerToken >= TOKEN_SECONDS.least && secondsPerToken <= TOKEN_SECONDS.most)) return;
    const at = Math.min(MOST_BESIDE, Math.max(1, Math.round(beside)));
    this.#byBeside[at] ??= new WeightedMean(NEWEST_WEIGHT);
    const mean = this.#byBeside[at];
    const { mean: before } = mean;
    const bounded =
      before === null || mean.count < 3
        ? secondsPerToken
        : Math.min(before * MOST_CHANGE, Math.max(before / MOST_CHANGE, secondsPerToken));
    mean.record(bounded);
    this.#count++;
    this.#slowdown = this.#measuredSlowdown() ?? USUAL_SLOWDOWN;
  }

  /** Seconds a token while `beside` answers are written; from the nearest number that was measured. Null: none was. */
  secondsPerToken(beside: number): number | null {
    const at = Math.min(MOST_BESIDE, Math.max(1, Math.round(beside)));
    if (this.#count === 0) return null;
    for (let distance = 0; distance <= MOST_BESIDE; distance++) {
      const seconds = this.#scaled(at - distance, at) ?? this.#scaled(at + distance, at);
      if (seconds !== null) return seconds;
    }
    return null;
  }

  /** What was measured with `near` answers, as it would be with `at`. */
  #scaled(near: number, at: number): number | null {
    const mean = this.#byBeside[near]?.mean ?? null;
    return mean === null ? null : (mean * (1 + this.#slowdown * (at - 1))) / (1 + this.#slowdown * (near - 1));
  }

  /** From a line through what was measured (least squares, by the numbers of answers); null: at fewer than two numbers. */
  #measuredSlowdown(): number | null {
    let [sum, sumX, sumY, sumXx, sumXy] = [0, 0, 0, 0, 0];
    for (const [beside, seconds, count] of this.entries()) {
      if (count < ENOUGH) continue;
      sum += count;
      sumX += count * beside;
      sumY += count * seconds;
      sumXx += count * beside * beside;
      sumXy += count * beside * seconds;
    }
    const spread = sum * sumXx - sumX * sumX;
    if (spread < 1e-9) return null;
    const slope = (sum * sumXy - sumX * sumY) / spread;
    const alone = (sumY - slope * sumX) / sum + slope;
    return alone <= 0 ? MOST_SLOWDOWN : Math.min(MOST_SLOWDOWN, Math.max(0, slope / alone));
  }

  /** Means and counts by the number of answers at once, for keeping. */
  entries(): [beside: number, secondsPerToken: number, count: number][] {
    return this.#byBeside.flatMap((mean, beside) =>
      mean === undefined || mean.mean === null ? [] : [[beside, mean.mean, mean.count] as [number, number, number]],
    );
  }

  restore(entries: readonly (readonly [beside: number, secondsPerToken: number, count: number])[]): void {
    for (const [beside, secondsPerToken, count] of entries) {
      if (!(beside >= 1 && beside <= MOST_BESIDE && secondsPerToken > 0 && count > 0)) continue;
      const mean = new WeightedMean(NEWEST_WEIGHT);
      mean.restore(secondsPerToken, Math.min(MOST_RESTORED, count));
      this.#byBeside[Math.round(beside)] = mean;
      this.#count += mean.count;
    }
    this.#slowdown = this.#measuredSlowdown() ?? USUAL_SLOWDOWN;
  }
}

/** How much slower each of so many answers is than one alone, where nothing was measured. */
export function usualSlowdown(beside: number): number {
  return 1 + USUAL_SLOWDOWN * (beside - 1);
}
