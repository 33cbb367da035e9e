import type { CostEstimate, CostTerms } from '../core/cost.ts';
import type { PromptFacts } from '../core/prompt.ts';
import type { UsualSpeeds } from './learned/speed-book.ts';
import type { ModelMatch } from './models.ts';
import { type SlotUse, slotUse, type TargetEntry } from './target-entry.ts';

/** A load that takes longer than expected may take so much longer still, s. */
const LEAST_LOAD_LEFT = 0.5;
/** Read from a disk of a desktop, bytes/s. */
const LOAD_BYTES_PER_SECOND = 1e9;

/**
 * What asking this target for this request is expected to take, in seconds (protocols §6.4): `load + wait + uncached
 * prompt ÷ prefill speed + expected output ÷ decode speed + network`. Pure: reads what was learned, changes nothing.
 */
export function estimateCost(
  entry: TargetEntry,
  match: ModelMatch,
  prompt: PromptFacts,
  nowMs: number,
  use: SlotUse = slotUse(entry, match.info),
): CostEstimate {
  const { place } = entry.target;
  const meter = entry.meter(match.model);
  const { isMeasured } = meter;
  const usual = entry.book.usual(place, match.model);
  const slope = isMeasured ? meter.reading.slope : usual.readingSlope;
  const promptTokens = meter.promptTokens(prompt);
  const cachedTokens = match.loaded ? Math.floor(promptTokens * meter.cache.cachedShare(prompt, nowMs)) : 0;
  const outputTokens = Math.min(meter.outputTokens, prompt.maxOutputTokens ?? Number.POSITIVE_INFINITY);
  const beside = Math.max(use.busy, entry.activity.writing) + 1;
  const terms: CostTerms = {
    load: match.loaded ? 0 : loadSeconds(entry, match, usual, nowMs),
    wait: waitSeconds(entry, match, usual, use, nowMs),
    prefill: (promptTokens - cachedTokens) * slope,
    decode: outputTokens * secondsPerToken(entry, match.model, usual, Math.min(beside, Math.max(1, use.slots))),
    network: isMeasured ? meter.reading.start : usual.readingStart,
  };
  const firstTokenSeconds = terms.load + terms.wait + terms.prefill + terms.network;
  return {
    terms,
    seconds: firstTokenSeconds + terms.decode,
    firstTokenSeconds,
    cachedTokens,
    priceNanoUsd: place === 'local' ? 0 : null,
    measured: isMeasured,
  };
}

function secondsPerToken(entry: TargetEntry, model: string, usual: UsualSpeeds, beside: number): number {
  return entry.meter(model).writing.secondsPerToken(beside) ?? usual.secondsPerToken * slowdown(beside);
}

/** Unmeasured: one GPU shared by several answers is a little slower for each. */
function slowdown(beside: number): number {
  return 1 + 0.1 * (beside - 1);
}

function loadSeconds(entry: TargetEntry, { model, info }: ModelMatch, usual: UsualSpeeds, nowMs: number): number {
  const { sizeBytes } = info ?? { sizeBytes: null };
  const bySize = sizeBytes === null ? null : sizeBytes / LOAD_BYTES_PER_SECOND;
  const expected = entry.meter(model).loadSeconds ?? bySize ?? usual.load;
  const spent = entry.activity.loadingSeconds(model, nowMs);
  return spent === 0 ? expected : Math.max(LEAST_LOAD_LEFT, expected - spent);
}

/** Until a slot is free, and until the prompts that came before are read. */
function waitSeconds(
  entry: TargetEntry,
  { model }: ModelMatch,
  usual: UsualSpeeds,
  { busy, slots }: SlotUse,
  nowMs: number,
): number {
  const reading = entry.activity.readingSeconds(usual.readingSlope, nowMs);
  if (busy < slots) return reading;
  // The lengths of answers are spread so widely that how long one has been written says little of how long it goes on:
  // of n answers one ends after an n-th of their mean duration.
  const meter = entry.meter(model);
  const each = meter.outputTokens * secondsPerToken(entry, model, usual, Math.max(1, slots));
  return reading + (each / Math.max(1, slots)) * (entry.queued + 1);
}
