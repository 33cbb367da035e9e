import { StoreUnavailable } from '../../core/ledger.ts';

/** SQLite's words for "not now", by the beginning of their codes. */
const KINDS: readonly [string, StoreUnavailable['kind']][] = [
  ['SQLITE_BUSY', 'locked'],
  ['SQLITE_LOCKED', 'locked'],
  ['SQLITE_FULL', 'full'],
  ['SQLITE_CANTOPEN', 'gone'],
  ['SQLITE_READONLY', 'gone'],
  ['SQLITE_IOERR', 'failing'],
  ['SQLITE_NOTADB', 'failing'],
  ['SQLITE_CORRUPT', 'failing'],
  ['SQLITE_NOMEM', 'failing'],
];

/** The file is no database, or a broken one: that does not pass. */
export class StoreDamaged extends StoreUnavailable {
  constructor(message: string) {
    super('failing', message);
  }
}

export function isDamage(error: unknown): boolean {
  return error instanceof StoreDamaged || /^SQLITE_(NOTADB|CORRUPT)/.test(codeOf(error));
}

/** The kind of trouble that a store has, when that is what the error says; null: the error is of another sort. */
export function unavailability(error: unknown): StoreUnavailable['kind'] | null {
  if (error instanceof StoreUnavailable) return error.kind;
  const code = codeOf(error);
  return KINDS.find(([beginning]) => code.startsWith(beginning))?.[1] ?? null;
}

/** What is wrong with the values themselves: no later try can write them. */
const OF_THE_VALUES = ['SQLITE_CONSTRAINT', 'SQLITE_MISMATCH', 'SQLITE_RANGE', 'SQLITE_TOOBIG'];

/**
 * The same for what is to be written to the ledger: whatever SQLite refuses for another reason than the values may be
 * over soon. Taken for a fault of what was to be written, it would be thrown away.
 */
export function unavailabilityOfWrite(error: unknown): StoreUnavailable['kind'] | null {
  const kind = unavailability(error);
  const code = codeOf(error);
  if (kind !== null || !code.startsWith('SQLITE_')) return kind;
  return OF_THE_VALUES.some((beginning) => code.startsWith(beginning)) ? null : 'failing';
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');
