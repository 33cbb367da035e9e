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

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');
