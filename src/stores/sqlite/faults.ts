import { StoreUnavailable } from '../../core/ledger.ts';

/** SQLite's words for "not now", by the beginning of their codes. Anything else is a mistake of ours. */
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

/** The kind of trouble that a store has, when that is what the error says; null: the error is of another sort. */
export function unavailability(error: unknown): StoreUnavailable['kind'] | null {
  if (error instanceof StoreUnavailable) return error.kind;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return KINDS.find(([beginning]) => code.startsWith(beginning))?.[1] ?? null;
}
