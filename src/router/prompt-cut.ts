import type { Usage } from '../core/usage.ts';
import type { LiveCall } from './learned/activity.ts';

/**
 * Some servers cut a prompt that is too long without a word, and answer what is left of it. True: this one reports far
 * fewer tokens of it than were sent. To be asked before the call is learned from.
 */
export function promptWasCut(live: LiveCall, usage: Usage | null): boolean {
  if (usage === null) return false;
  const { promptTokens } = usage;
  return live.meter.wasCut({ ...live, predictedCachedTokens: live.cachedTokens, promptTokens });
}
