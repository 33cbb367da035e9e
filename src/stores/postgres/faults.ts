import pg from 'pg';
import { OwnerFenced, StoreUnavailable } from '../../core/ledger.ts';

/** PostgreSQL's classes of "not now", by the beginning of their SQLSTATE, and the sockets' own. */
const KINDS: readonly [string, StoreUnavailable['kind']][] = [
  ['55P03', 'locked'],
  ['57014', 'locked'],
  ['53100', 'full'],
  ['53', 'failing'],
  ['57P', 'gone'],
  ['08', 'gone'],
  ['28', 'gone'],
  ['3D', 'gone'],
  ['25006', 'failing'],
  ['58', 'failing'],
  ['XX', 'failing'],
  ['ECONN', 'gone'],
  ['EPIPE', 'gone'],
  ['ETIMEDOUT', 'gone'],
  ['ENOTFOUND', 'gone'],
  ['EAI_', 'gone'],
  ['EHOST', 'gone'],
  ['ENETUNREACH', 'gone'],
];

/** What is wrong with the values themselves, by the beginning of its SQLSTATE: no later try can write them. */
const OF_THE_VALUES = ['21', '22', '23', 'P0'];

/** Two transactions waited for each other, or one overtook the other: simply again. */
const AGAIN = new Set(['40001', '40P01']);

/** SQLSTATE, or the code of the socket; empty: it has none. */
export const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

export function isWorthRepeating(error: unknown): boolean {
  return AGAIN.has(codeOf(error));
}

/** Mistakes of ours: no later try mends them either. */
const OURS = [TypeError, RangeError, SyntaxError, ReferenceError];

/**
 * As the rest of the program knows it. Only what is wrong with the values, and mistakes of ours, stay as they are.
 * Whatever else the database, its driver or a socket says (a server that is away, a right that was taken away, a
 * certificate that ran out) may be over soon: taken for a fault of what was to be written, that would be thrown away.
 */
export function storeError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof StoreUnavailable || error instanceof OwnerFenced) return error;
  const code = codeOf(error);
  const isOfTheDatabase = /^[0-9A-Z]{5}$/.test(code) && error instanceof pg.DatabaseError;
  if (isOfTheDatabase && OF_THE_VALUES.some((beginning) => code.startsWith(beginning))) return error;
  if (!isOfTheDatabase && OURS.some((kind) => error instanceof kind)) return error;
  const kind = KINDS.find(([beginning]) => code.startsWith(beginning))?.[1];
  return new StoreUnavailable(kind ?? (isOfTheDatabase ? 'failing' : 'gone'), error.message, { cause: error });
}
