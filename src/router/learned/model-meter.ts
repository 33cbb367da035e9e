import type { PromptFacts } from '../../core/prompt.ts';
import { DecodeSpeed } from './decode-speed.ts';
import { LineFit } from './line-fit.ts';
import { OutputLengths } from './output-lengths.ts';
import { PromptCache } from './prompt-cache.ts';
import { WeightedMean } from './weighted-mean.ts';

/** Fewer samples say too little: the fleet's median stands in. */
const ENOUGH = 3;
const NEWEST_WEIGHT = 0.1;
/** English text in JSON has about so many bytes a token. */
export const USUAL_BYTES_PER_TOKEN = 4;
/** A prompt this much shorter than estimated was cut; the estimate of an unknown model is that much less certain. */
const CUT_SHARE = { known: 0.6, unknown: 0.35 } as const;
/** Shorter prompts are not judged: their envelope weighs too much. Tokens. */
const LEAST_JUDGED = 512;
/** Servers cut at whole messages: the rest is not always as long. */
const SAME_CUT = 0.1;

/** What one finished call taught. Seconds and tokens. */
export interface Lesson {
  /** As the server reported. */
  readonly promptTokens: number;
  /** Null: the server does not report it. */
  readonly cachedTokens: number | null;
  readonly completionTokens: number;
  readonly promptBytes: number;
  /** The request had images, whose tokens are not in its bytes. */
  readonly hasImages: boolean;
  readonly predictedCachedTokens: number;
  /** From when its prompt could be read until its first content; null: not known, it overlapped with others. */
  readonly readingSeconds: number | null;
  /** From its first content to its end; null: the answer came whole. */
  readonly writingSeconds: number | null;
  /** Answers that the server wrote meanwhile on average, this one included. */
  readonly beside: number;
  /** The model was not in memory when the request was sent. */
  readonly loaded: boolean;
}

/** What real traffic taught about one model on one target. */
export class ModelMeter {
  /** Seconds until the first content by tokens that had to be read. */
  readonly reading = new LineFit();
  readonly writing = new DecodeSpeed();
  readonly outputs = new OutputLengths();
  readonly cache = new PromptCache();
  readonly #load = new WeightedMean(0.3);
  readonly #bytesPerToken = new WeightedMean(NEWEST_WEIGHT);
  #contextLength: number | null = null;
  /** How much was left of the latest prompt that was cut, tokens. */
  #cutAt: number | null = null;
  #samples = 0;

  /** Answers that something was learned from. */
  get samples(): number {
    return this.#samples;
  }

  /** There is enough to predict its first token. */
  get isMeasured(): boolean {
    return this.reading.count >= ENOUGH;
  }

  get loadSeconds(): number | null {
    return this.#load.mean;
  }

  get bytesPerToken(): number | null {
    return this.#bytesPerToken.mean;
  }

  /** Where it cuts prompts without a word, tokens; null: it was never seen to. */
  get contextLength(): number | null {
    return this.#contextLength;
  }

  /** `usualBytesPerToken`: of the same model elsewhere, while nothing was sent here. */
  promptTokens(prompt: Pick<PromptFacts, 'bytes'>, usualBytesPerToken = USUAL_BYTES_PER_TOKEN): number {
    return Math.ceil(prompt.bytes / (this.bytesPerToken ?? usualBytesPerToken));
  }

  /** Did the server read far less of the prompt than was sent? */
  wasCut({
    promptTokens,
    promptBytes,
    hasImages,
  }: Pick<Lesson, 'promptTokens' | 'promptBytes' | 'hasImages'>): boolean {
    const estimate = this.promptTokens({ bytes: promptBytes });
    if (hasImages || promptTokens === 0 || estimate < LEAST_JUDGED) return false;
    const share = this.#bytesPerToken.count >= ENOUGH ? CUT_SHARE.known : CUT_SHARE.unknown;
    return promptTokens < estimate * share;
  }

  learn(lesson: Lesson): void {
    this.#samples++;
    const { promptTokens, completionTokens, cachedTokens, predictedCachedTokens } = lesson;
    this.outputs.record(completionTokens);
    if (this.wasCut(lesson)) {
      this.#noteCut(promptTokens);
      return;
    }
    // It read more than it was thought to hold: it was loaded anew with another context.
    if (this.#contextLength !== null && promptTokens > this.#contextLength) this.#contextLength = null;
    if (promptTokens > 0 && !lesson.hasImages) this.#bytesPerToken.record(lesson.promptBytes / promptTokens);
    if (cachedTokens !== null) this.cache.correct(predictedCachedTokens, cachedTokens, promptTokens);
    this.#learnReading(lesson, Math.max(0, promptTokens - (cachedTokens ?? predictedCachedTokens)));
    const { writingSeconds } = lesson;
    if (writingSeconds !== null && completionTokens >= LEAST_WRITTEN) {
      this.writing.record(lesson.beside, writingSeconds / (completionTokens - 1));
    }
  }

  /** Once may be odd text; twice to the same length is a limit. */
  #noteCut(promptTokens: number): void {
    const before = this.#cutAt;
    this.#cutAt = promptTokens;
    if (before === null || Math.abs(promptTokens - before) > before * SAME_CUT) return;
    this.#contextLength = Math.max(before, promptTokens);
  }

  #learnReading({ readingSeconds, loaded, promptTokens }: Lesson, readTokens: number): void {
    if (readingSeconds === null || promptTokens === 0) return;
    if (loaded) this.reading.add(readTokens, readingSeconds);
    // What reading the prompt takes is small beside a load, and may not be known yet.
    else this.#load.record(Math.max(0, readingSeconds - (this.isMeasured ? this.reading.at(readTokens) : 0)));
  }

  /** For keeping over restarts; plain data. */
  save(): SavedMeter {
    return {
      reading: { start: this.reading.start, slope: this.reading.slope, lengths: this.reading.lengths() },
      writing: this.writing.entries(),
      loadSeconds: this.#load.mean,
      bytesPerToken: this.#bytesPerToken.mean,
      outputTokens: this.outputs.lengths(),
      samples: this.#samples,
    };
  }

  restore(saved: SavedMeter): void {
    const { reading, writing, loadSeconds, bytesPerToken, outputTokens } = saved;
    this.reading.restore(reading.start, reading.slope, reading.lengths);
    this.writing.restore(writing);
    if (loadSeconds !== null) this.#load.restore(loadSeconds, 1);
    if (bytesPerToken !== null) this.#bytesPerToken.restore(bytesPerToken, ENOUGH);
    for (const tokens of outputTokens) this.outputs.record(tokens);
    this.#samples = saved.samples;
  }
}

/** Of shorter answers the first token's share weighs too much to tell a speed. */
const LEAST_WRITTEN = 4;

export interface SavedMeter {
  readonly reading: { readonly start: number; readonly slope: number; readonly lengths: readonly number[] };
  readonly writing: readonly (readonly [beside: number, secondsPerToken: number, count: number])[];
  readonly loadSeconds: number | null;
  readonly bytesPerToken: number | null;
  readonly outputTokens: readonly number[];
  readonly samples: number;
}
