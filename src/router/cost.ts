import type { CostEstimate, CostTerms } from '../core/cost.ts';
import type { PromptFacts } from '../core/prompt.ts';
import type { ModelInfo } from '../core/target.ts';
import { usualSlowdown } from './learned/decode-speed.ts';
import type { ModelMeter } from './learned/model-meter.ts';
import type { UsualSpeeds } from './learned/speed-book.ts';
import type { ModelMatch } from './models.ts';
import type { SlotUse, TargetEntry } from './target-entry.ts';

/** A load that takes longer than expected may take so much longer still, s. */
const LEAST_LOAD_LEFT = 0.5;
/** When nothing says how long a slot stays taken, s. */
const UNKNOWN_WAIT = 5;
/** Read from a disk of a desktop. */
const LOAD_BYTES_PER_SECOND = 1e9;

/** The measured speeds of a model on a target, and what stands in for them. */
interface Speeds {
  readonly meter: ModelMeter;
  readonly usual: UsualSpeeds;
}

/** One model on one target. */
export interface Instance extends Speeds {
  readonly entry: TargetEntry;
}

export function instanceOf(entry: TargetEntry, model: string): Instance {
  return { entry, meter: entry.meter(model), usual: entry.book.usual(entry.target.place, model) };
}

/**
 * What asking this target for this request is expected to take, in seconds (protocols §6.4): `load + wait + uncached
 * prompt ÷ prefill speed + expected output ÷ decode speed + network`. Pure: reads what was learned, changes nothing.
 */
export function estimateCost(
  instance: Instance,
  match: ModelMatch,
  prompt: PromptFacts,
  nowMs: number,
  use: SlotUse,
): CostEstimate {
  const { entry, meter, usual } = instance;
  const { isMeasured } = meter;
  const promptTokens = meter.promptTokens(prompt, usual.bytesPerToken);
  const cachedTokens = match.loaded ? Math.floor(promptTokens * meter.cache.cachedShare(prompt, nowMs)) : 0;
  // How long an answer will be is the model's and the request's matter: equal machines must not differ by chance in it.
  const outputTokens = Math.min(prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY, usual.outputTokens);
  const beside = Math.min(Math.max(use.busy, entry.activity.writing) + 1, Math.max(1, use.slots));
  const terms: CostTerms = {
    load: match.loaded ? 0 : loadSeconds(entry, instance, match, nowMs),
    wait: waitSeconds(entry, usual, use, entry.queued, nowMs),
    prefill: (promptTokens - cachedTokens) * (isMeasured ? meter.reading.slope : usual.readingSlope),
    decode: outputTokens * secondsPerToken(instance, beside),
    network: isMeasured ? meter.reading.start : usual.readingStart,
  };
  const firstTokenSeconds = terms.load + terms.wait + terms.prefill + terms.network;
  return {
    terms,
    seconds: firstTokenSeconds + terms.decode,
    firstTokenSeconds,
    cachedTokens,
    priceNanoUsd: priceOf(entry, match, promptTokens, outputTokens),
    measured: isMeasured,
  };
}

const FEMTO_PER_NANO = 1e6;

/** Local answers cost nothing that is known here. */
function priceOf(
  { target }: TargetEntry,
  { info }: ModelMatch,
  promptTokens: number,
  outputTokens: number,
): number | null {
  if (target.place === 'local') return 0;
  const price = info?.price ?? null;
  if (price === null) return null;
  return Math.round((promptTokens * price.rates.input + outputTokens * price.rates.output) / FEMTO_PER_NANO);
}

/**
 * Until the prompts before it are read and, when all slots are taken, one is free for a request that so many others wait
 * before, s. Both go on at once.
 */
export function waitSeconds(
  { activity }: TargetEntry,
  usual: UsualSpeeds,
  { busy, slots }: SlotUse,
  ahead: number,
  nowMs: number,
): number {
  const reading = activity.readingSeconds(usual.readingSlope, nowMs);
  if (busy < slots) return reading;
  const next = activity.slotFreeSeconds(usual, nowMs);
  // Nothing of ours runs there: another gateway's requests, or a limit of the moment.
  return Math.max(reading, Number.isFinite(next) ? next * (ahead + 1) : UNKNOWN_WAIT);
}

function secondsPerToken({ meter, usual }: Speeds, beside: number): number {
  return meter.writing.secondsPerToken(beside) ?? usual.secondsPerToken * usualSlowdown(beside);
}

/** Of a whole load, s: learned, else by the model's size, else as usual. */
export function expectedLoadSeconds(meter: ModelMeter, usual: UsualSpeeds, info: ModelInfo | null): number {
  const sizeBytes = info?.sizeBytes ?? null;
  return meter.loadSeconds ?? (sizeBytes === null ? usual.load : sizeBytes / LOAD_BYTES_PER_SECOND);
}

function loadSeconds(entry: TargetEntry, { meter, usual }: Speeds, { model, info }: ModelMatch, nowMs: number): number {
  const expected = expectedLoadSeconds(meter, usual, info);
  const spent = entry.activity.loadingSeconds(model, nowMs);
  return spent === 0 ? expected : Math.max(LEAST_LOAD_LEFT, expected - spent);
}
