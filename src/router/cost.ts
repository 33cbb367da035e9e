import type { CostEstimate, CostTerms } from '../core/cost.ts';
import type { PromptFacts } from '../core/prompt.ts';
import { slowdown } from './learned/decode-speed.ts';
import type { ModelMeter } from './learned/model-meter.ts';
import type { UsualSpeeds } from './learned/speed-book.ts';
import type { ModelMatch } from './models.ts';
import type { SlotUse, TargetEntry } from './target-entry.ts';

/** A load that takes longer than expected may take so much longer still, s. */
const LEAST_LOAD_LEFT = 0.5;
/** Read from a disk of a desktop, bytes/s. */
const LOAD_BYTES_PER_SECOND = 1e9;

/** One model on one target. */
interface Instance {
  readonly entry: TargetEntry;
  readonly meter: ModelMeter;
}

/** The measured speeds of an instance, or what stands in for them; s. */
interface Speeds {
  readonly meter: ModelMeter;
  readonly usual: UsualSpeeds;
}

/**
 * What asking this target for this request is expected to take, in seconds (protocols §6.4): `load + wait + uncached
 * prompt ÷ prefill speed + expected output ÷ decode speed + network`. Pure: reads what was learned, changes nothing.
 */
export function estimateCost(
  { entry, meter }: Instance,
  match: ModelMatch,
  prompt: PromptFacts,
  nowMs: number,
  use: SlotUse,
): CostEstimate {
  const usual = entry.book.usual(entry.target.place, match.model);
  const speeds = { meter, usual };
  const { isMeasured } = meter;
  const promptTokens = meter.promptTokens(prompt);
  const cachedTokens = match.loaded ? Math.floor(promptTokens * meter.cache.cachedShare(prompt, nowMs)) : 0;
  const outputTokens = Math.min(meter.outputTokens, prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY);
  const beside = Math.min(Math.max(use.busy, entry.activity.writing) + 1, Math.max(1, use.slots));
  const terms: CostTerms = {
    load: match.loaded ? 0 : loadSeconds(entry, speeds, match, nowMs),
    wait:
      entry.activity.readingSeconds(usual.readingSlope, nowMs) +
      (use.busy < use.slots ? 0 : slotWaitSeconds(speeds, use.slots, entry.queued)),
    prefill: (promptTokens - cachedTokens) * (isMeasured ? meter.reading.slope : usual.readingSlope),
    decode: outputTokens * secondsPerToken(speeds, beside),
    network: isMeasured ? meter.reading.start : usual.readingStart,
  };
  const firstTokenSeconds = terms.load + terms.wait + terms.prefill + terms.network;
  return {
    terms,
    seconds: firstTokenSeconds + terms.decode,
    firstTokenSeconds,
    cachedTokens,
    priceNanoUsd: entry.target.place === 'local' ? 0 : null,
    measured: isMeasured,
  };
}

/** Until a slot of the target is free for a request that so many others wait before, s. */
export function waitFor(entry: TargetEntry, model: string, slots: number, ahead: number): number {
  const usual = entry.book.usual(entry.target.place, model);
  return slotWaitSeconds({ meter: entry.meter(model), usual }, slots, ahead);
}

/**
 * The lengths of answers are spread so widely that
 * how long one has been written says little of how long it goes on: of n answers one ends after an n-th of their mean.
 */
function slotWaitSeconds(speeds: Speeds, slots: number, ahead: number): number {
  const atOnce = Math.max(1, slots);
  return ((speeds.meter.outputTokens * secondsPerToken(speeds, atOnce)) / atOnce) * (ahead + 1);
}

function secondsPerToken({ meter, usual }: Speeds, beside: number): number {
  return meter.writing.secondsPerToken(beside) ?? usual.secondsPerToken * slowdown(beside);
}

function loadSeconds(entry: TargetEntry, { meter, usual }: Speeds, { model, info }: ModelMatch, nowMs: number): number {
  const sizeBytes = info?.sizeBytes ?? null;
  const expected = meter.loadSeconds ?? (sizeBytes === null ? usual.load : sizeBytes / LOAD_BYTES_PER_SECOND);
  const spent = entry.activity.loadingSeconds(model, nowMs);
  return spent === 0 ? expected : Math.max(LEAST_LOAD_LEFT, expected - spent);
}
