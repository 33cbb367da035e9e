import { StoreUnavailable } from '../../core/ledger.ts';

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

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '');

export function isWorthRepeating(error: unknown): boolean {
  return AGAIN.has(codeOf(error));
}

/**
 * As the rest of the program knows it; an error of another sort stays as it is. Whatever the database refuses for
 * another reason than the values (a right that was taken away, a table that is being changed) may be over soon: taken
 * for a fault of what was to be written, it would be thrown away.
 */
export function storeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = codeOf(error);
  const kind = KINDS.find(([beginning]) => code.startsWith(beginning))?.[1];
  if (kind !== undefined) return new StoreUnavailable(kind, error.message, { cause: error });
  // The driver's own errors about a lost connection have no code.
  if (code === '' && /connection|timeout/i.test(error.message)) {
    return new StoreUnavailable('gone', error.message, { cause: error });
  }
  const isOfTheDatabase = /^[0-9A-Z]{5}$/.test(code);
  if (!isOfTheDatabase || OF_THE_VALUES.some((beginning) => code.startsWith(beginning))) return error;
  return new StoreUnavailable('failing', error.message, { cause: error });
}
