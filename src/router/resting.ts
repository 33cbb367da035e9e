import type { LeftOutKind } from '../core/plan.ts';
import type { TargetEntry } from './target-entry.ts';

/** Why a target is not asked now. */
export interface Resting {
  readonly kind: LeftOutKind;
  readonly reason: string;
  /** It answers probes, so it may be asked when nobody else can. */
  readonly lastResort: boolean;
}

/** Null: it is in rotation. Pure. */
export function restingReason(entry: TargetEntry, nowMs: number): Resting | null {
  const { breaker, cooldown } = entry;
  if (breaker.name === 'closed' && cooldown === null && (entry.everUp || !entry.target.optional)) return null;
  if (entry.health === 'absent') return { kind: 'absent', reason: 'was not found', lastResort: false };
  if (breaker.name === 'open') {
    const why = entry.probeFailure?.message ?? 'its last requests failed';
    return { kind: 'down', reason: `down: ${why}`, lastResort: entry.probeFailure?.silent !== true };
  }
  if (cooldown !== null && cooldown.untilMs > nowMs) {
    const seconds = Math.ceil((cooldown.untilMs - nowMs) / 1000);
    const reason = `asked to be left alone for ${seconds} s more (${cooldown.kind})`;
    return { kind: 'cooling', reason, lastResort: !cooldown.stated };
  }
  return null;
}
