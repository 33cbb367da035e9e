import { isDeepStrictEqual } from 'node:util';
import type { SeenAnswer } from './clients.ts';

/** One upstream call as `GET /admin/usage/export` has it. */
export interface LedgerRow {
  readonly attempt_id: string;
  readonly request_id: string;
  readonly target_id: string;
  readonly state: string;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
}

export type FindingKind = 'missing' | 'other usage' | 'altered' | 'gone' | 'still open';

export interface Finding {
  readonly kind: FindingKind;
  /** A sentence for people. */
  readonly text: string;
}

/**
 * What the ledger does not keep of what was promised. Pure.
 * @param seen answers whose end their clients saw, of all rounds
 * @param before the ended calls that were on record after the kill before
 */
export function judge(
  rows: readonly LedgerRow[],
  seen: readonly SeenAnswer[],
  before: ReadonlyMap<string, LedgerRow>,
): readonly Finding[] {
  const byRequest = Map.groupBy(rows, (row) => row.request_id);
  const byId = new Map(rows.map((row) => [row.attempt_id, row]));
  return [
    ...seen.flatMap((answer) => findingOf(answer, byRequest.get(answer.requestId) ?? [])),
    ...[...before.values()].flatMap((row) => changeOf(row, byId.get(row.attempt_id))),
    ...rows.flatMap((row) =>
      row.state === 'reserved' ? [{ kind: 'still open' as const, text: `${row.request_id} is still open` }] : [],
    ),
  ];
}

export function endedRows(rows: readonly LedgerRow[]): ReadonlyMap<string, LedgerRow> {
  return new Map(rows.filter(({ state }) => state !== 'reserved').map((row) => [row.attempt_id, row]));
}

function findingOf(answer: SeenAnswer, rows: readonly LedgerRow[]): Finding[] {
  const { requestId, target, inputTokens, outputTokens } = answer;
  const settled = rows.find((row) => row.target_id === target && row.state === 'settled');
  if (settled === undefined) {
    const states = rows.map(({ target_id, state }) => `${state} at ${target_id}`).join(', ');
    const text = `${requestId} ended at its client, and no call at ${target} is settled (${states || 'no call'})`;
    return [{ kind: 'missing', text }];
  }
  if (settled.input_tokens === inputTokens && settled.output_tokens === outputTokens) return [];
  const recorded = `${settled.input_tokens} + ${settled.output_tokens}`;
  const text = `${requestId} was told ${inputTokens} + ${outputTokens} tokens, and ${recorded} are on record`;
  return [{ kind: 'other usage', text }];
}

function changeOf(before: LedgerRow, after: LedgerRow | undefined): Finding[] {
  if (after === undefined) return [{ kind: 'gone', text: `the call ${before.attempt_id} is not on record any more` }];
  if (isDeepStrictEqual(before, after)) return [];
  return [{ kind: 'altered', text: `the call ${before.attempt_id} was ended, and is another one now` }];
}
