import type { SlotChoice } from './slot-choice.ts';
import { slotUseByName } from './target-entry.ts';

/**
 * How long a newcomer would wait for the first free slot at any of these targets, if requests go on holding them as
 * before; null: not known. Those before it wait for some of these targets at least, so it is at most the longest queue.
 */
export function predictedWaitMs(choices: readonly SlotChoice[]): number | null {
  let slotsPerMs = 0;
  let ahead = 0;
  for (const { entry, model } of choices) {
    const { meanMs } = entry.holdTime;
    if (meanMs === null || entry.breaker.name === 'warming') return null;
    slotsPerMs += slotUseByName(entry, model).slots / Math.max(1, meanMs);
    ahead = Math.max(ahead, entry.queued);
  }
  // Slots free evenly spread, so the first one does after half of a turn.
  return (ahead + 0.5) / slotsPerMs;
}
