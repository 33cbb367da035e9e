import { loadObstacle } from './load-guard.ts';
import { modelIndex } from './model-index.ts';
import type { SlotChoice } from './slot-choice.ts';
import { slotsOf } from './target-entry.ts';

/** However many answers a server was seen to write at once, more are not tried. */
const MOST_TRIED = 32;

/**
 * A server that does not say how many answers it writes at once is given one more than it was ever seen to write, when
 * the request would have to wait anyway and all others are being answered: then a wait inside the server is told apart
 * from reading prompts.
 */
export function mayTryOneMore({ entry, model }: SlotChoice): boolean {
  const { target, snapshot, activity, breaker, inFlight } = entry;
  if (target.place !== 'local' || target.maxConcurrent !== null || breaker.name !== 'closed') return false;
  if (snapshot === null || snapshot.slots !== null || activity.slots.learned !== null) return false;
  const info = modelIndex(snapshot).find(model);
  if (info === null || info.slots !== null || info.state !== 'loaded' || loadObstacle(entry, info) !== null)
    return false;
  const isKnown = entry.meter(model).isMeasured && inFlight === slotsOf(entry) && inFlight < MOST_TRIED;
  return isKnown && activity.writing === inFlight && entry.foreign === 0 && entry.settling === 0;
}
