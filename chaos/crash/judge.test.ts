import { describe, expect, test } from 'bun:test';
import { endedRows, judge, type LedgerRow } from './judge.ts';

const seen = { requestId: 'r1', target: 'studio', inputTokens: 9, outputTokens: 12 };
const row: LedgerRow = {
  ...{ attempt_id: 'a1', request_id: 'r1', target_id: 'studio', state: 'settled' },
  ...{ input_tokens: 9, output_tokens: 12 },
};
const nothing = new Map<string, LedgerRow>();
const kinds = (...args: Parameters<typeof judge>) => judge(...args).map(({ kind }) => kind);

describe('the judge of a crash run', () => {
  test('finds nothing where every promised answer is on record and every record as it was', () => {
    expect(kinds([row], [seen], endedRows([row]))).toEqual([]);
  });

  test('finds an answer that is not on record, at another target, or never settled', () => {
    expect(kinds([], [seen], nothing)).toEqual(['missing']);
    expect(kinds([{ ...row, target_id: 'cloud' }], [seen], nothing)).toEqual(['missing']);
    expect(kinds([{ ...row, state: 'unknown' }], [seen], nothing)).toEqual(['missing']);
  });

  test('finds other usage than its client was told', () => {
    expect(kinds([{ ...row, output_tokens: 11 }], [seen], nothing)).toEqual(['other usage']);
  });

  test('finds an ended call that changed or is gone, and one that nobody ended', () => {
    expect(kinds([{ ...row, output_tokens: 12, state: 'voided' }], [], endedRows([row]))).toEqual(['altered']);
    expect(kinds([], [], endedRows([row]))).toEqual(['gone']);
    expect(kinds([{ ...row, state: 'reserved' }], [], nothing)).toEqual(['still open']);
  });
});
