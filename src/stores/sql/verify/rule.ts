import type { LedgerInvariant } from '../../../core/ledger-check.ts';

export type Cell = string | number | null;
export type FoundRow = Readonly<Record<string, Cell>>;

/** One way in which a call can break an invariant. */
export interface Rule {
  readonly rule: LedgerInvariant;
  /** Shown beside the organisation and the call. */
  readonly columns: string;
  /** What cannot be. Null counts as "not so". */
  readonly where: string;
  message(row: FoundRow): string;
}

/**
 * Rules over the same tables. A statement by itself sees one moment of the store, and no commit breaks a rule: so books
 * that are written meanwhile are never found wrong. What needs two statements is no rule.
 */
export interface RuleSet {
  /** The table whose organisation and call it is. */
  readonly alias: 'a' | 'h';
  readonly from: string;
  /** Rows that break nothing and are to be told all the same. */
  readonly noted?: string;
  readonly rules: readonly Rule[];
}

/** `2026-11-23T00:00:00.000Z` as `2026-11-23`: windows begin with days, those of a `total` with the epoch. */
export function windowText(startMs: Cell | undefined): string {
  const at = new Date(Number(startMs));
  return Number.isNaN(at.getTime()) ? String(startMs) : at.toISOString().replace('T00:00:00.000Z', '');
}
