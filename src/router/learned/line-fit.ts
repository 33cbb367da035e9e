/** Older samples are forgotten: a model may be loaded anew with other settings. */
const WINDOW = 64;
/** So many samples, so many times as long as all others, are no outliers when they took longer than the others promise. */
const MOST_LONE = 2;
const LONE_FACTOR = 4;
const MOST_TOKENS = 1e8;
const LEAST_SECONDS = 1e-6;
const MOST_SECONDS = 1e6;
const ROUNDS = 5;
/** Residuals of so many typical ones count a quarter. */
const OUTLYING = 2;
/** However well the samples lie on a line, nothing is measured better than this. */
const LEAST_SIGMA = 0.01;
/** The median of absolute deviations times this estimates a standard deviation. */
const MAD_TO_SIGMA = 1.4826;
/** With prompts all about as long, slope and start cannot be told apart: the start is then at least this share of the least value. */
const LEAST_SPREAD = 0.25;
const START_SHARE = 0.1;
/** Seconds a token, of a slow desktop: few short prompts must not make long ones look hopeless. */
const USUAL_SLOPE = 1 / 1_000;
/** Of desktops and cards together. */
const MEAN_SLOPE = 1 / 2_000;

/**
 * A running, robust straight line `y = start + slope · x` through the latest 64 samples: least squares on relative
 * residuals, those that lie far off weighted down, again and again (iteratively reweighted least squares). Start and
 * slope are never negative.
 */
export class LineFit {
  readonly #x = new Float64Array(WINDOW);
  readonly #y = new Float64Array(WINDOW);
  #count = 0;
  #slope = 0;
  #start = 0;

  /** Samples so far, forgotten ones included. */
  get count(): number {
    return this.#count;
  }

  get slope(): number {
    return this.#slope;
  }

  get start(): number {
    return this.#start;
  }

  /** Tokens and seconds. Numbers that no server can have meant are no measurement. */
  add(x: number, y: number): void {
    if (this.#keep(x, y)) this.#fit();
  }

  #keep(x: number, y: number): boolean {
    if (!(x >= 0 && x <= MOST_TOKENS && y >= LEAST_SECONDS && y <= MOST_SECONDS)) return false;
    const at = this.#count % WINDOW;
    this.#x[at] = Math.round(x);
    this.#y[at] = y;
    this.#count++;
    return true;
  }

  at(x: number): number {
    return this.#start + this.#slope * x;
  }

  /**
   * What was learned before, instead of anything known: counts as so many samples on the line, which new ones replace.
   * The line is taken as it was: fitting it for each sample of thousands of models would hold up the start.
   */
  restore(start: number, slope: number, xs: readonly number[]): void {
    this.#count = 0;
    for (const x of xs) this.#keep(x, Math.max(start + slope * x, LEAST_SECONDS));
    if (this.#count > 0) this.#set(start, slope);
  }

  /** Lengths of the latest samples, to be given to `restore`. */
  lengths(): number[] {
    return [...this.#x.subarray(0, Math.min(WINDOW, this.#count))];
  }

  #fit(): void {
    const size = Math.min(WINDOW, this.#count);
    this.#set(0, this.#typicalRatio(size));
    for (let round = 0; round < ROUNDS; round++) this.#solve(this.#weights(size), size);
  }

  /** Where the search begins: among the longer half, whose times the start matters least to, the median of y ÷ x. */
  #typicalRatio(size: number): number {
    const longest = this.#x.slice(0, size).sort();
    const middle = longest[size >> 1] as number;
    const ratios: number[] = [];
    for (let at = 0; at < size; at++) {
      const x = this.#x[at] as number;
      if (x >= middle && x > 0) ratios.push((this.#y[at] as number) / x);
    }
    return medianOf(ratios);
  }

  #solve(weights: Float64Array, size: number): void {
    let [sum, sumX, sumY, sumXx, sumXy, sumYy] = [0, 0, 0, 0, 0, 0];
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < size; at++) {
      const [weight, x, y] = [weights[at] as number, this.#x[at] as number, this.#y[at] as number];
      sum += weight;
      sumX += weight * x;
      sumY += weight * y;
      sumXx += weight * x * x;
      sumXy += weight * x * y;
      sumYy += weight * y * y;
      least = Math.min(least, y);
    }
    const variance = sumXx / sum - (sumX / sum) ** 2;
    const isFlat = variance < (LEAST_SPREAD * (sumX / sum)) ** 2 || size < 3;
    const fitted = isFlat ? -1 : (sumXy / sum - (sumX / sum) * (sumY / sum)) / variance;
    const slope = isFlat ? -1 : tempered(fitted, variance, sumYy / sum - (sumY / sum) ** 2, size);
    const start = isFlat ? -1 : sumY / sum - slope * (sumX / sum);
    if (isFlat) this.#guess(least * START_SHARE, sumX / sum, sumY / sum);
    else if (slope < 0) this.#set(sumY / sum, 0);
    else if (start < 0) this.#set(0, sumXx === 0 ? 0 : sumXy / sumXx);
    else this.#set(start, slope);
  }

  /** What is the start's and what the slope's part of one length cannot be told: no more is the slope's than is usual. */
  #guess(leastStart: number, meanX: number, meanY: number): void {
    const slope = meanX === 0 ? 0 : Math.min(USUAL_SLOPE, Math.max(0, meanY - leastStart) / meanX);
    this.#set(meanY - slope * meanX, slope);
  }

  #set(start: number, slope: number): void {
    this.#start = start;
    this.#slope = slope;
  }

  /** Prompts from this length on are so few, and so much longer than the others, that they alone tell of long ones. */
  #loneLength(size: number): number {
    const lengths = this.#x.slice(0, size).sort();
    const longest = lengths[size - 1] as number;
    const next = lengths[Math.max(0, size - 1 - MOST_LONE)] as number;
    return longest > LONE_FACTOR * next ? longest / LONE_FACTOR : Number.POSITIVE_INFINITY;
  }

  /** By how far off the present line each sample lies, in shares of what the line says there. */
  #weights(size: number): Float64Array {
    const residuals = new Float64Array(size);
    const expected = new Float64Array(size);
    for (let at = 0; at < size; at++) {
      const y = this.at(this.#x[at] as number);
      expected[at] = Math.max(y, LEAST_SECONDS);
      residuals[at] = Math.abs((this.#y[at] as number) - y) / (expected[at] as number);
    }
    const sigma = Math.max(LEAST_SIGMA, medianOf([...residuals]) * MAD_TO_SIGMA);
    const lone = this.#loneLength(size);
    for (let at = 0; at < size; at++) {
      const isLone = (this.#x[at] as number) >= lone && (this.#y[at] as number) > (expected[at] as number);
      const off = isLone ? 0 : (residuals[at] as number) / (OUTLYING * sigma);
      // Cauchy's weight, squared: what lies far off (a prompt that was cached after all) counts for next to nothing.
      residuals[at] = 1 / ((expected[at] as number) * (1 + off * off)) ** 2;
    }
    return residuals;
  }
}

/**
 * A slope that noise may have made is drawn towards the usual one, the more the less sure it is (the mean of what was
 * measured and what is usual, weighted by their precisions): short prompts alone say little of long ones.
 */
function tempered(slope: number, varianceX: number, varianceY: number, size: number): number {
  const unexplained = Math.max(0, varianceY - slope * slope * varianceX);
  // Few are much faster than usual; how slow one may be has no end.
  const doubt = unexplained / (size * varianceX) / Math.max(MEAN_SLOPE, slope) ** 2;
  return (slope + doubt * MEAN_SLOPE) / (1 + doubt);
}

function medianOf(values: number[]): number {
  values.sort((a, b) => a - b);
  return values[values.length >> 1] ?? 0;
}
