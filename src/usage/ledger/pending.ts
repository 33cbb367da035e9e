import type { LedgerOperation, LedgerResult } from '../../core/ledger.ts';
import { type OpenAttempt, startOperation } from './attempts.ts';

/** What became of an operation; `kept`: outside the store for now · `unavailable`: nobody can decide it. */
export type Fate = LedgerResult | { readonly kind: 'kept' } | { readonly kind: 'unavailable'; readonly reason: string };

/** An operation on its way, and who waits for it. */
export interface Pending {
  readonly operation: LedgerOperation;
  /** That it is about: an end can be told anew from the beginning. */
  readonly attempt: OpenAttempt;
  /** Null: nobody waits. */
  readonly answer: ((fate: Fate) => void) | null;
}

/** Must be decided by the store, and by nobody else. */
export function needsStore({ operation }: Pending): boolean {
  return operation.kind === 'start' && operation.enforce;
}

/** What the store must be told when it may know nothing of the attempt: its start goes first; a repeated one changes nothing. */
export function fromTheBeginning({ operation, attempt }: Pending): readonly LedgerOperation[] {
  return operation.kind === 'start' ? [operation] : [startOperation(attempt.start), operation];
}

/** The same for the journal, which has the start already of what did not end at once. */
export function forJournal(pending: Pending): readonly LedgerOperation[] {
  const { place } = pending.attempt;
  return place === 'store' || place === 'nowhere' ? fromTheBeginning(pending) : [pending.operation];
}
