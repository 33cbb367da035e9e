import type { Bill, InvoiceLine } from './invoice.ts';

/** One upstream call as `GET /admin/usage/export` has it. */
export interface LedgerRow {
  readonly request_id: string;
  readonly target_id: string;
  readonly state: string;
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cost_nano_usd: number | null;
  /** 1: the server did not say what it used. */
  readonly estimated: number | null;
}

export const BILLING_RULES = {
  'no row': 'a call reached a server and is not on record',
  'not billed': 'an answer that a client was given in full is not on record as its server billed it',
  'wrong bill': 'a call is on record as reported by its server, and the server reported something else',
  'never made': 'a call is on record with usage, and no server saw it',
  'still open': 'a call is neither settled nor voided nor unknown after its end',
} as const;
export type BillingFault = keyof typeof BILLING_RULES;

export interface BillingFinding {
  readonly fault: BillingFault;
  readonly text: string;
}

export interface BillingTotals {
  /** Answers that were given in full and billed. */
  readonly answers: number;
  readonly invoicedNanoUsd: number;
  readonly recordedNanoUsd: number;
}

export interface BillingResult {
  readonly rows: number;
  readonly states: Readonly<Record<string, number>>;
  /** Of what clients were given in full, by target. */
  readonly totals: Readonly<Record<string, BillingTotals>>;
  readonly findings: readonly BillingFinding[];
}

/** The ledger against the servers' own invoices. Pure. */
export function compareBilling(invoice: readonly InvoiceLine[], rows: readonly LedgerRow[]): BillingResult {
  const lines = Map.groupBy(invoice, (line) => placeOf(line.requestId, line.target));
  const recorded = Map.groupBy(rows, (row) => placeOf(row.request_id, row.target_id));
  const totals: Record<string, BillingTotals> = {};
  const findings: BillingFinding[] = [];
  for (const place of new Set([...lines.keys(), ...recorded.keys()])) {
    const [ours, theirs] = [recorded.get(place) ?? [], lines.get(place) ?? []];
    findings.push(...faultsAt(place, theirs, ours));
    addTotals(totals, theirs, ours);
  }
  const states: Record<string, number> = {};
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1;
  return { rows: rows.length, states, totals, findings };
}

function faultsAt(place: string, lines: readonly InvoiceLine[], rows: readonly LedgerRow[]): BillingFinding[] {
  const found = (fault: BillingFault, what: string): BillingFinding => ({ fault, text: `${place}: ${what}` });
  const seen = `the server billed ${lines.map(({ bill }) => billText(bill)).join('; ') || 'nothing'}, on record is ${rows.map(rowText).join('; ') || 'nothing'}`;
  const reported = rows.filter(isReported);
  const used = rows.filter(({ state }) => state === 'settled' || state === 'unknown');
  return [
    ...(rows.some(({ state }) => state === 'reserved') ? [found('still open', seen)] : []),
    ...(rows.length < rowsWanted(lines) ? [found('no row', seen)] : []),
    ...(lines.length === 0 && used.length > 0 && reported.length > 0 ? [found('never made', seen)] : []),
    ...(lines.length > 0 && reported.some((row) => !lines.some(({ bill }) => isSame(bill, row)))
      ? [found('wrong bill', seen)]
      : []),
    ...(lines.some(({ served, bill }) => served && bill !== null && !reported.some((row) => isSame(bill, row)))
      ? [found('not billed', seen)]
      : []),
  ];
}

/** What a server sent nothing of may have been sent again without being another call. */
function rowsWanted(lines: readonly InvoiceLine[]): number {
  const begun = lines.filter((line) => line.begun).length;
  return lines.length === 0 ? 0 : Math.max(1, begun);
}

function addTotals(
  totals: Record<string, BillingTotals>,
  lines: readonly InvoiceLine[],
  rows: readonly LedgerRow[],
): void {
  const line = lines.find(({ served, bill }) => served && bill !== null);
  if (line === undefined || line.bill === null) return;
  const { bill, target } = line;
  const row = rows.find((candidate) => isSame(bill, candidate)) ?? rows.find(isReported);
  const { answers = 0, invoicedNanoUsd = 0, recordedNanoUsd = 0 } = totals[target] ?? {};
  totals[target] = {
    answers: answers + 1,
    invoicedNanoUsd: invoicedNanoUsd + bill.costNanoUsd,
    recordedNanoUsd: recordedNanoUsd + (row?.cost_nano_usd ?? 0),
  };
}

const placeOf = (requestId: string, target: string): string => `${requestId} at ${target}`;

/** Its server said what it used: then it is exact, or wrong. */
function isReported({ state, estimated }: LedgerRow): boolean {
  return state === 'settled' && estimated === 0;
}

function isSame(bill: Bill | null, row: LedgerRow): boolean {
  if (bill === null) return false;
  const { inputTokens, outputTokens, costNanoUsd } = bill;
  return row.input_tokens === inputTokens && row.output_tokens === outputTokens && row.cost_nano_usd === costNanoUsd;
}

function billText(bill: Bill | null): string {
  return bill === null ? 'nothing' : `${bill.inputTokens} + ${bill.outputTokens} tokens, ${bill.costNanoUsd}`;
}

function rowText({
  state,
  estimated,
  input_tokens: input,
  output_tokens: output,
  cost_nano_usd: cost,
}: LedgerRow): string {
  return `${state}${estimated === 1 ? ', estimated' : ''}, ${input} + ${output} tokens, ${cost}`;
}
