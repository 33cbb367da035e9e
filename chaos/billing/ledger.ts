import type { GatewayProcess } from '../../test/e2e/gateway-process.ts';
import { type BillingResult, compareBilling, type LedgerRow } from './compare.ts';
import type { InvoiceLine } from './invoice.ts';

export interface BillingReport extends BillingResult {
  /** What the ledger's own check found, a sentence each. */
  readonly broken: readonly string[];
}

const SETTLED_WITHIN_MS = 10_000;
const LOOK_AGAIN_MS = 100;

/** Reads the gateway's ledger once all of its calls have ended, and holds it against the invoice. */
export async function checkBilling(
  { url, adminKey }: GatewayProcess,
  invoice: readonly InvoiceLine[],
): Promise<BillingReport> {
  const get = (path: string): Promise<Response> =>
    fetch(`${url}${path}`, { headers: { authorization: `Bearer ${adminKey}` } });
  const giveUpAtMs = performance.now() + SETTLED_WITHIN_MS;
  for (;;) {
    const { total } = await (await get('/admin/usage')).json();
    if (total.open === 0 || performance.now() > giveUpAtMs) break;
    await Bun.sleep(LOOK_AGAIN_MS);
  }
  const rows: LedgerRow[] = [];
  for await (const line of linesIn(await get('/admin/usage/export?format=json'))) rows.push(rowOf(line));
  const verdict = await (await get('/admin/ledger/verify')).json();
  const broken = verdict.findings.map(
    ({ invariant, message }: { invariant: string; message: string }) => `${invariant}: ${message}`,
  );
  return { ...compareBilling(invoice, rows), broken };
}

/** Only what is compared: there may be a million of them. */
function rowOf(line: string): LedgerRow {
  const { request_id, target_id, state, input_tokens, output_tokens, cost_nano_usd, estimated } = JSON.parse(line);
  return { request_id, target_id, state, input_tokens, output_tokens, cost_nano_usd, estimated };
}

async function* linesIn({ body }: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const bytes of body ?? []) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
  if (rest !== '') yield rest;
}
