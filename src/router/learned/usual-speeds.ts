import type { Target } from '../../core/target.ts';
import { type ModelMeter, USUAL_BYTES_PER_TOKEN } from './model-meter.ts';
import { USUAL_OUTPUT_TOKENS } from './output-lengths.ts';
import type { Page } from './page.ts';

/** What stands in for a target that nothing was measured of, s. */
export interface UsualSpeeds {
  readonly readingStart: number;
  readonly readingSlope: number;
  readonly secondsPerToken: number;
  readonly load: number;
  /** Bytes. */
  readonly bytesPerToken: number;
  /** Tokens of an answer. */
  readonly outputTokens: number;
}

const USUAL_TEXT = { bytesPerToken: USUAL_BYTES_PER_TOKEN, outputTokens: USUAL_OUTPUT_TOKENS };

/** Until anything is measured anywhere: a 7B model on a desktop, and a fast provider. */
const FIRST_GUESS: Readonly<Record<Target['place'], UsualSpeeds>> = {
  local: { readingStart: 0.05, readingSlope: 1 / 1_000, secondsPerToken: 1 / 40, load: 10, ...USUAL_TEXT },
  cloud: { readingStart: 0.6, readingSlope: 1 / 20_000, secondsPerToken: 1 / 60, load: 0, ...USUAL_TEXT },
};

/** Of more, every second, third or so says as much of the median, and takes a millisecond. */
const MOST_READ = 1_000;

/** The fleet's medians over the targets of one place; kept until `forget`. */
export class UsualSpeedsOfPlace {
  readonly #guess: UsualSpeeds;
  readonly #pages = new Set<Page>();
  readonly #byModel = new Map<string, Set<Page>>();
  #ofAll: UsualSpeeds | null = null;
  /** Only of models that something was learned of: other names come from clients, without end. */
  readonly #ofModel = new Map<string, UsualSpeeds>();

  constructor(place: Target['place']) {
    this.#guess = FIRST_GUESS[place];
  }

  add(page: Page): void {
    this.#pages.add(page);
    const pages = this.#byModel.get(page.model);
    if (pages === undefined) this.#byModel.set(page.model, new Set([page]));
    else pages.add(page);
  }

  remove(page: Page): void {
    this.#pages.delete(page);
    const pages = this.#byModel.get(page.model);
    pages?.delete(page);
    if (pages?.size === 0) this.#byModel.delete(page.model);
  }

  /** Something was learned since: the medians are taken anew when they are asked for. */
  forget(): void {
    this.#ofAll = null;
    this.#ofModel.clear();
  }

  /** The medians for a model, else for any model, else a guess. */
  of(model: string): UsualSpeeds {
    const known = this.#ofModel.get(model);
    if (known !== undefined) return known;
    this.#ofAll ??= medians(this.#pages, this.#guess);
    const pages = this.#byModel.get(model);
    if (pages === undefined) return this.#ofAll;
    const usual = medians(pages, this.#ofAll);
    this.#ofModel.set(model, usual);
    return usual;
  }
}

function medians(pages: ReadonlySet<Page>, fallback: UsualSpeeds): UsualSpeeds {
  const of = (read: (meter: ModelMeter) => number | null, otherwise: number): number =>
    median(pages, read) ?? otherwise;
  return {
    readingStart: of((meter) => (meter.isMeasured ? meter.reading.start : null), fallback.readingStart),
    readingSlope: of((meter) => (meter.isMeasured ? meter.reading.slope : null), fallback.readingSlope),
    secondsPerToken: of((meter) => meter.writing.secondsPerToken(1), fallback.secondsPerToken),
    load: of((meter) => meter.loadSeconds, fallback.load),
    bytesPerToken: of((meter) => meter.bytesPerToken, fallback.bytesPerToken),
    outputTokens: of((meter) => (meter.outputs.count === 0 ? null : meter.outputs.mean), fallback.outputTokens),
  };
}

function median(pages: ReadonlySet<Page>, read: (meter: ModelMeter) => number | null): number | null {
  const values = new Float64Array(pages.size);
  const stride = Math.ceil(pages.size / MOST_READ);
  let [at, count] = [0, 0];
  for (const { meter } of pages) {
    if (at++ % stride !== 0) continue;
    const value = read(meter);
    if (value !== null) values[count++] = value;
  }
  if (count === 0) return null;
  const known = values.subarray(0, count).sort();
  const middle = count >> 1;
  const upper = known[middle] as number;
  return count % 2 === 1 ? upper : ((known[middle - 1] as number) + upper) / 2;
}
