import { describe, expect, test } from 'bun:test';
import { compareBilling, type LedgerRow } from './compare.ts';
import { billOf, type InvoiceLine } from './invoice.ts';

const bill = { inputTokens: 10, outputTokens: 20, costNanoUsd: 330_000 };
const line: InvoiceLine = { requestId: 'chaos-1', target: 'vee', bill, served: true, begun: true };
const row: LedgerRow = {
  ...{ request_id: 'chaos-1', target_id: 'vee', state: 'settled', estimated: 0 },
  ...{ input_tokens: 10, output_tokens: 20, cost_nano_usd: 330_000 },
};
const faults = (...args: Parameters<typeof compareBilling>) =>
  compareBilling(...args).findings.map(({ fault }) => fault);

describe('the ledger against the invoice', () => {
  test('is right to the nano-USD, with the sums of each target', () => {
    const { findings, totals, states } = compareBilling([line], [row]);
    expect(findings).toEqual([]);
    expect(totals).toEqual({ vee: { answers: 1, invoicedNanoUsd: 330_000, recordedNanoUsd: 330_000 } });
    expect(states).toEqual({ settled: 1 });
  });

  test('is wrong by a single nano-USD or token', () => {
    expect(faults([line], [{ ...row, cost_nano_usd: 330_001 }])).toEqual(['wrong bill', 'not billed']);
    expect(faults([line], [{ ...row, output_tokens: 19 }])).toEqual(['wrong bill', 'not billed']);
  });

  test('is wrong where an answer that was given is estimated, voided or not on record', () => {
    expect(faults([line], [{ ...row, estimated: 1 }])).toEqual(['not billed']);
    expect(faults([line], [{ ...row, state: 'voided', estimated: 0 }])).toEqual(['not billed']);
    expect(faults([line], [])).toEqual(['no row', 'not billed']);
  });

  test('may estimate what broke off, and must have a row of it', () => {
    const broken = { ...line, served: false };
    expect(faults([broken], [{ ...row, estimated: 1, output_tokens: 3 }])).toEqual([]);
    expect(faults([broken], [{ ...row, state: 'unknown', estimated: 1 }])).toEqual([]);
    expect(faults([broken], [])).toEqual(['no row']);
    expect(faults([broken], [row])).toEqual([]);
    expect(faults([{ ...broken, bill: null }], [row])).toEqual(['wrong bill']);
  });

  test('knows a call that was tried twice at one server by its two rows', () => {
    const first = { ...line, bill: null, served: false };
    expect(faults([first, line], [{ ...row, state: 'voided' }, row])).toEqual([]);
    expect(faults([first, line], [row])).toEqual(['no row']);
    // It sent nothing: made again on another connection, it is the same call.
    expect(faults([{ ...first, begun: false }, line], [row])).toEqual([]);
  });

  test('may have tried a server that never saw it, but not have paid it', () => {
    expect(faults([], [{ ...row, state: 'voided', input_tokens: null, output_tokens: null }])).toEqual([]);
    expect(faults([], [row])).toEqual(['never made']);
    expect(faults([], [{ ...row, state: 'reserved' }])).toEqual(['still open']);
  });
});

describe('a bill', () => {
  test('is by the price of the run, or what the provider says', () => {
    expect(billOf({ prompt_tokens: 10, completion_tokens: 20 })).toEqual(bill);
    expect(billOf({ prompt_tokens: 10, completion_tokens: 20, cost: 0.000123456 })?.costNanoUsd).toBe(123_456);
    expect(billOf(null)).toBeNull();
  });
});
