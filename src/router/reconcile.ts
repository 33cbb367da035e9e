import type { TargetChanges } from '../core/reload.ts';
import type { Target, TargetId } from '../core/target.ts';
import { targetFingerprint } from '../core/target-fingerprint.ts';

export interface Reconciliation {
  readonly changes: TargetChanges;
  /** Those that are another server than before, or new: nothing that is known holds for them. */
  readonly renewed: ReadonlySet<TargetId>;
}

/** What a new list of targets means for the old one. Ids are unique in each. Pure. */
export function reconciliation(before: readonly Target[], wanted: readonly Target[]): Reconciliation {
  const old = new Map(before.map((target) => [target.id, target]));
  const added: TargetId[] = [];
  const changed: TargetId[] = [];
  const kept: TargetId[] = [];
  const renewed = new Set<TargetId>();
  for (const target of wanted) {
    const known = old.get(target.id);
    if (known === undefined) added.push(target.id);
    else if (targetFingerprint(known) === targetFingerprint(target)) kept.push(target.id);
    else changed.push(target.id);
    if (known === undefined || !isSameServer(known, target)) renewed.add(target.id);
  }
  const ids = new Set(wanted.map(({ id }) => id));
  const removed = before.map(({ id }) => id).filter((id) => !ids.has(id));
  return { changes: { added, removed, changed, kept }, renewed };
}

/** Slots, health and speed belong to a server, whatever its key and its clocks are. */
export function isSameServer(a: Target, b: Target): boolean {
  return a.adapterKind === b.adapterKind && a.baseUrl === b.baseUrl && a.place === b.place;
}
