import { isHarmless } from '../faults.ts';
import type { Arrival } from '../verdict.ts';

/** What a server says that one answer used and cost. Money: nano-USD. */
export interface Bill {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly costNanoUsd: number;
}

/** One call as its server saw it. */
export interface InvoiceLine {
  readonly requestId: string;
  readonly target: string;
  /** What its server says of it at the end of the answer, or would have; null: it began none. */
  readonly bill: Bill | null;
  /** The client was given this call's answer, and its server wrote all of it. */
  readonly served: boolean;
  /** Its server sent something; else the call may have been made again on another connection, as the same one. */
  readonly begun: boolean;
}

/** What every model costs at every target of the run that does not say so itself, US dollars for a million tokens. */
export const PRICES = { model: 'sim-model', input_usd_per_mtok: 3, output_usd_per_mtok: 15 };
/** A millionth of a dollar is a thousand nano-USD. */
const NANO_PER_TOKEN = { input: PRICES.input_usd_per_mtok * 1_000, output: PRICES.output_usd_per_mtok * 1_000 };

/** Reckoned apart from the gateway: whole numbers alone. */
export function billOf(reports: Readonly<Record<string, unknown>> | null): Bill | null {
  if (reports === null) return null;
  const { prompt_tokens: input, completion_tokens: output, cost } = reports;
  if (typeof input !== 'number' || typeof output !== 'number') return null;
  const own = input * NANO_PER_TOKEN.input + output * NANO_PER_TOKEN.output;
  return {
    inputTokens: input,
    outputTokens: output,
    costNanoUsd: typeof cost === 'number' ? Math.round(cost * 1e9) : own,
  };
}

/** @param servedBy who answered the client, to the end; null: nobody did */
export function linesOf(number: number, arrivals: readonly Arrival[], servedBy: string | null): readonly InvoiceLine[] {
  const last = arrivals.findLast(({ target }) => target === servedBy);
  return arrivals.map((arrival) => {
    const { target, fault, call } = arrival;
    const isWhole = call.endedAtMs !== null && !call.aborted && (fault === null || isHarmless(fault));
    const common = { requestId: requestIdOf(number), target, begun: call.status !== null };
    return { ...common, bill: billOf(call.reports), served: isWhole && arrival === last };
  });
}

/** As the chaos client sends it. */
export function requestIdOf(number: number): string {
  return `chaos-${number}`;
}
