import type { PromptFacts } from '../../core/prompt.ts';
import type { Usage } from '../../core/usage.ts';
import { usualSlowdown } from './decode-speed.ts';
import type { Lesson, ModelMeter } from './model-meter.ts';
import { promptWasCut } from './prompt-cut.ts';
import { SlotEvidence } from './slot-evidence.ts';
import type { UsualSpeeds } from './speed-book.ts';

/** One call on a target while it runs. */
export interface LiveCall {
  readonly model: string;
  readonly meter: ModelMeter;
  prompt: PromptFacts;
  /** Estimates, tokens. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** Whether its server may have had more of it cached than this gateway knows of, which its count leaves out. */
  readonly mayHideCached: boolean;
  /** The client's limit for the answer; Infinity: none. */
  readonly maxOutputTokens: number;
  readonly loaded: boolean;
  readonly sentAtMs: number;
  /** Null: its prompt is being read, or waits for that. */
  contentAtMs: number | null;
  /** How long its prompt was read; null: not known. */
  readingMs: number | null;
  /** `#writtenMs` of its activity when its first content came. */
  writtenBeforeMs: number;
}

/** The load of a model whose request was given up, while the server goes on with it. */
export interface LeftLoad {
  readonly model: string;
  /** When the load began, and when its request was given up. Monotonic ms. */
  readonly sinceMs: number;
  readonly leftAtMs: number;
}

/**
 * What one server is doing for this gateway: prompts that it reads, answers that it writes. Prompts are taken to be read
 * one after the other, as LM Studio, Ollama and llama.cpp do; where they are not, only what nothing overlapped is learned.
 */
export class Activity {
  /** False: a provider with room for everybody, where no prompt waits for another. */
  readonly #readsInTurn: boolean;
  readonly #countsOnlyRead: boolean;
  readonly slots = new SlotEvidence();
  /** In the order in which they were sent. */
  readonly #reading: LiveCall[] = [];
  readonly #writing = new Set<LiveCall>();
  #leftLoad: LeftLoad | null = null;
  /** Since when the prompt at the head could be read. */
  #freeSinceMs = Number.NEGATIVE_INFINITY;
  /** Answers written at once, summed over time. */
  #writtenMs = 0;
  #changedAtMs = 0;

  constructor(readsInTurn = true, countsOnlyRead = false) {
    this.#readsInTurn = readsInTurn;
    this.#countsOnlyRead = countsOnlyRead;
  }

  began(
    meter: ModelMeter,
    model: string,
    prompt: PromptFacts,
    loaded: boolean,
    nowMs: number,
    usualBytesPerToken?: number,
  ): LiveCall {
    const promptTokens = meter.promptTokens(prompt, usualBytesPerToken);
    const call: LiveCall = {
      model,
      meter,
      prompt,
      promptTokens,
      cachedTokens: Math.floor(promptTokens * meter.cache.cachedShare(prompt, nowMs)),
      mayHideCached: this.#countsOnlyRead && prompt.earlierTurns > 0 && !meter.cache.holds(prompt),
      maxOutputTokens: prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY,
      loaded,
      sentAtMs: nowMs,
      contentAtMs: null,
      readingMs: null,
      writtenBeforeMs: 0,
    };
    meter.cache.add(prompt, nowMs);
    this.#reading.push(call);
    return call;
  }

  /** Null: there is none. */
  get leftLoad(): LeftLoad | null {
    return this.#leftLoad;
  }

  /** To be told before a call ends that was given up. Null: it was not the one that a load goes on for. */
  leftLoading(call: LiveCall, nowMs: number): LeftLoad | null {
    if (call.loaded || !this.#reading.includes(call)) return null;
    const sinceMs = this.#leftLoad?.model === call.model ? this.#leftLoad.sinceMs : call.sentAtMs;
    this.#leftLoad = { model: call.model, sinceMs, leftAtMs: nowMs };
    return this.#leftLoad;
  }

  /** False: another one goes on by now, or it was over already. */
  loadIsOver(load: LeftLoad): boolean {
    if (this.#leftLoad !== load) return false;
    this.#leftLoad = null;
    return true;
  }

  /** Its first real content came. */
  answering(call: LiveCall, nowMs: number): void {
    if (this.#leftLoad?.model === call.model) this.#leftLoad = null;
    const at = this.#reading.indexOf(call);
    if (at === -1) return;
    this.#reading.splice(at, 1);
    const slotFreedMs = !this.#readsInTurn
      ? null
      : this.slots.answering(call.sentAtMs, this.#expectedMs(call), this.#writing.size, nowMs);
    const freeSinceMs = this.#readsInTurn ? this.#freeSinceMs : Number.NEGATIVE_INFINITY;
    const fromMs = Math.max(call.sentAtMs, freeSinceMs, slotFreedMs ?? Number.NEGATIVE_INFINITY);
    if (at === 0 || !this.#readsInTurn) call.readingMs = nowMs - fromMs;
    this.#freeSinceMs = nowMs;
    call.contentAtMs = nowMs;
    this.#count(nowMs);
    call.writtenBeforeMs = this.#writtenMs;
    this.#writing.add(call);
  }

  /** It came to its proper end. Harmless when it has been said already. */
  finished(call: LiveCall, usage: Usage | null, nowMs: number): void {
    const lesson = usage === null || !this.#writing.has(call) ? null : this.#lessonOf(call, usage, nowMs);
    this.ended(call, nowMs);
    if (lesson !== null) call.meter.learn(lesson);
  }

  /** It ended in whatever way; says nothing of speeds. Harmless when it has been said already. */
  ended(call: LiveCall, nowMs: number): void {
    const at = this.#reading.indexOf(call);
    if (at !== -1) {
      this.#reading.splice(at, 1);
      this.#freeSinceMs = nowMs;
    }
    if (!this.#writing.has(call)) return;
    this.#count(nowMs);
    this.#writing.delete(call);
    this.slots.finished(this.#writing.size + 1, nowMs);
  }

  /** Answers that are written now. */
  get writing(): number {
    return this.#writing.size;
  }

  /** This model is on its way into memory. */
  isLoading(model: string): boolean {
    return this.#leftLoad?.model === model || this.#reading.some((call) => !call.loaded && call.model === model);
  }

  /** Some model is on its way into memory. */
  get isLoadingAny(): boolean {
    return this.#leftLoad !== null || (this.#reading.length > 0 && this.#reading.some((call) => !call.loaded));
  }

  /** Some model other than this one is on its way into memory. */
  isLoadingOther(model: string): boolean {
    return this.#reading.some((call) => !call.loaded && call.model !== model);
  }

  /** How long the load of this model has been going on, s; 0: it has not begun. */
  loadingSeconds(model: string, nowMs: number): number {
    const loading = this.#reading.find((call) => !call.loaded && call.model === model);
    const left = this.#leftLoad?.model === model ? this.#leftLoad.sinceMs : nowMs;
    return (nowMs - Math.min(left, loading?.sentAtMs ?? nowMs)) / 1000;
  }

  /** Until all prompts that were sent before are read, s; `secondsPerToken` for models that are not measured yet. */
  readingSeconds(secondsPerToken: number, nowMs: number): number {
    let seconds = 0;
    if (!this.#readsInTurn) return 0;
    for (let at = 0; at < this.#reading.length; at++) {
      const call = this.#reading[at] as LiveCall;
      const expected = ownReadingSeconds(call, secondsPerToken);
      const spent = at === 0 ? (nowMs - Math.max(call.sentAtMs, this.#freeSinceMs)) / 1000 : 0;
      seconds += Math.max(0, expected - spent);
    }
    return seconds;
  }

  /**
   * Until one of the answers that run now has ended, s; Infinity: none runs. Each is taken to end at random, as often
   * as its expected rest says, so of several one ends after the inverse of the sum of their rates.
   */
  slotFreeSeconds(usual: UsualSpeeds, nowMs: number): number {
    const beside = this.#writing.size + this.#reading.length;
    let endsPerSecond = 0;
    for (const call of this.#writing) {
      const secondsPerToken = writingSecondsPerToken(call, usual, beside);
      const written = (nowMs - (call.contentAtMs ?? nowMs)) / 1000 / secondsPerToken;
      endsPerSecond +=
        1 / (call.meter.outputs.remaining(written, call.maxOutputTokens, usual.outputTokens) * secondsPerToken);
    }
    let readSeconds = 0;
    for (const call of this.#reading) {
      readSeconds += ownReadingSeconds(call, usual.readingSlope);
      const restSeconds =
        call.meter.outputs.remaining(0, call.maxOutputTokens, usual.outputTokens) *
        writingSecondsPerToken(call, usual, beside);
      endsPerSecond += 1 / (readSeconds + restSeconds);
    }
    return 1 / endsPerSecond;
  }

  #expectedMs(call: LiveCall): number {
    return call.meter.reading.at(call.promptTokens - call.cachedTokens) * 1000;
  }

  #lessonOf(call: LiveCall, usage: Usage, nowMs: number): Lesson {
    const contentAtMs = call.contentAtMs ?? nowMs;
    this.#count(nowMs);
    const writingMs = nowMs - contentAtMs;
    return {
      promptTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens,
      completionTokens: usage.completionTokens,
      promptBytes: call.prompt.bytes,
      hasMedia: call.prompt.media > 0,
      wasCut: promptWasCut(call, usage),
      hitLimit: usage.completionTokens >= call.maxOutputTokens,
      conversation: call.prompt.conversation,
      atMs: nowMs,
      predictedCachedTokens: call.cachedTokens,
      // An answer that came whole does not say when its prompt was read.
      readingSeconds: call.readingMs === null || cameWhole(writingMs, usage) ? null : call.readingMs / 1000,
      writingSeconds: cameWhole(writingMs, usage) ? null : writingMs / 1000,
      beside: writingMs > 0 ? (this.#writtenMs - call.writtenBeforeMs) / writingMs : 1,
      loaded: call.loaded,
    };
  }

  #count(nowMs: number): void {
    this.#writtenMs += this.#writing.size * (nowMs - this.#changedAtMs);
    this.#changedAtMs = nowMs;
  }
}

/** No server writes a token in less than this, ms. */
const LEAST_TOKEN_MS = 0.05;

function cameWhole(writingMs: number, usage: Usage): boolean {
  return usage.completionTokens > 1 && writingMs < usage.completionTokens * LEAST_TOKEN_MS;
}

function writingSecondsPerToken({ meter }: LiveCall, usual: UsualSpeeds, beside: number): number {
  return meter.writing.secondsPerToken(beside) ?? usual.secondsPerToken * usualSlowdown(beside);
}

/** What reading its prompt takes, without what every request takes besides. */
function ownReadingSeconds(call: LiveCall, secondsPerToken: number): number {
  const { meter } = call;
  const slope = meter.isMeasured ? meter.reading.slope : secondsPerToken;
  return (call.promptTokens - call.cachedTokens) * slope;
}
