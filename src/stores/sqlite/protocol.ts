import type { LedgerBatch, LedgerOperation, LedgerResult, StoreUnavailable } from '../../core/ledger.ts';
import { decodeOperations, EncodedOperations, encodeOperations } from '../../core/ledger-text.ts';
import type { Value } from '../sql/ledger/script.ts';

/** What the thread is asked to do. Operations go as text: it is cheaper to hand over than many objects. */
export type Command =
  | { readonly kind: 'open'; readonly path: string; readonly readOnly: boolean; readonly create: boolean }
  | { readonly kind: 'query'; readonly sql: string; readonly parameters: readonly Value[] }
  | { readonly kind: 'commit'; readonly ownerId: string; readonly texts: readonly string[] }
  | { readonly kind: 'orphans'; readonly ownerId: string; readonly nowMs: number }
  | { readonly kind: 'close' };

export interface Asked {
  readonly id: number;
  readonly command: Command;
}

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly fault: Fault };

export interface Fault {
  readonly name: string;
  readonly message: string;
  /** Null: no trouble of the store. */
  readonly unavailable: StoreUnavailable['kind'] | null;
  /** The file is no database, or a broken one. */
  readonly damaged: boolean;
}

/** What was encoded before goes as it is. */
export function textsOf(operations: LedgerBatch): readonly string[] {
  return operations instanceof EncodedOperations ? operations.texts : [encodeOperations([...operations])];
}

export function operationsOf(texts: readonly string[]): readonly LedgerOperation[] {
  const [only, ...others] = texts;
  if (only === undefined) return [];
  return others.length === 0 ? decodeOperations(only) : texts.flatMap(decodeOperations);
}

const ALL_DONE = 'done';
export type EncodedResults = readonly LedgerResult[] | typeof ALL_DONE;

/** Nearly always all is done: one word is cheaper to hand over than an object for each. */
export function encodeResults(results: readonly LedgerResult[]): EncodedResults {
  return results.every(({ kind }) => kind === 'done') ? ALL_DONE : results;
}

export function decodeResults(results: EncodedResults, count: number): readonly LedgerResult[] {
  return results === ALL_DONE ? Array.from({ length: count }, () => DONE) : results;
}

const DONE: LedgerResult = { kind: 'done' };
