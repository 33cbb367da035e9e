import type { PromptFacts } from '../../core/prompt.ts';
import { ContextSeen } from './context-seen.ts';
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
/** Of shorter prompts the time says nothing about the cache, tokens. */
const LEAST_JUDGED = 512;
/** A smaller part of a prompt does not show in the time. */
const TELLING_SHARE = 0.3;
/** s. */
const LEAST_READING = 1e-3;
/** Bytes of a token: fewer or more no tokenizer makes of text, not even of spaces or of a template around few words. */
const TEXT_LIKE = { least: 0.25, most: 100 };
/** Tokens. */
const LEAST_COUNTED = 32;
/** Of text in whatever language, in JSON. */
const TOKEN_BYTES = { least: 1, most: 16 };
/** What one finished call taught. Seconds and tokens. */
export interface Lesson {
  /** As the server reported. */
  readonly promptTokens: number;
  /** Null: the server does not report it. */
  readonly cachedTokens: number | null;
  readonly completionTokens: number;
  readonly promptBytes: number;
  /** The request had parts that are no text, whose tokens are not in its bytes. */
  readonly hasMedia: boolean;
  /** The server read only a part of the prompt. */
  readonly wasCut: boolean;
  /** The answer ended at the client's limit: on its own it would have been longer. */
  readonly hitLimit: boolean;
  readonly conversation: number;
  /** When it ended. */
  readonly atMs: number;
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
  readonly context = new ContextSeen();
  readonly #load = new WeightedMean(0.3);
  readonly #bytesPerToken = new WeightedMean(NEWEST_WEIGHT);
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

  /** Of a prompt, estimated. `usual`: bytes of a token elsewhere, while it is not known here. */
  promptTokens(prompt: Pick<PromptFacts, 'bytes'>, usual = USUAL_BYTES_PER_TOKEN): number {
    return Math.ceil(prompt.bytes / (this.bytesPerToken ?? usual));
  }

  learn(lesson: Lesson): void {
    const { promptTokens, completionTokens, cachedTokens, predictedCachedTokens } = lesson;
    if (lesson.wasCut) {
      this.context.wasCut({ tokens: promptTokens, conversation: lesson.conversation, atMs: lesson.atMs });
      return;
    }
    // A server that counts like none can says nothing of its speed.
    if (!lesson.hasMedia && promptTokens > 0 && !isTextLike(lesson.promptBytes / promptTokens)) return;
    this.#samples++;
    if (!lesson.hitLimit) this.outputs.record(completionTokens);
    this.context.readWhole(promptTokens);
    this.#learnTokens(lesson);
    const cached = cachedTokens ?? this.#inferCached(lesson);
    if (cached !== null) this.cache.correct(predictedCachedTokens, cached, promptTokens);
    this.#learnReading(lesson, Math.max(0, promptTokens - (cached ?? predictedCachedTokens)));
    const { writingSeconds } = lesson;
    if (writingSeconds !== null && completionTokens >= LEAST_WRITTEN) {
      this.writing.record(lesson.beside, writingSeconds / (completionTokens - 1));
    }
  }

  /** Around few words the envelope of JSON, and the server's own template, weigh more than the words. */
  #learnTokens({ promptBytes, promptTokens, hasMedia }: Lesson): void {
    if (hasMedia || promptTokens < LEAST_COUNTED) return;
    const { least, most } = TOKEN_BYTES;
    this.#bytesPerToken.record(Math.min(most, Math.max(least, promptBytes / promptTokens)));
  }

  /**
   * What was cached of a prompt where the server does not say (LM Studio, Ollama): as predicted, or nothing, whichever
   * fits the time better in which it was read. Null: that cannot be told.
   */
  #inferCached({ promptTokens, predictedCachedTokens, readingSeconds, loaded }: Lesson): number | null {
    const isTelling = predictedCachedTokens >= promptTokens * TELLING_SHARE && promptTokens >= LEAST_JUDGED;
    if (readingSeconds === null || !loaded || !this.isMeasured || !isTelling) return null;
    const asPredicted = Math.max(this.reading.at(promptTokens - predictedCachedTokens), LEAST_READING);
    const ofAll = this.reading.at(promptTokens);
    return Math.abs(Math.log(readingSeconds / asPredicted)) <= Math.abs(Math.log(readingSeconds / ofAll))
      ? predictedCachedTokens
      : 0;
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

function isTextLike(bytesPerToken: number): boolean {
  return bytesPerToken >= TEXT_LIKE.least && bytesPerToken <= TEXT_LIKE.most;
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
