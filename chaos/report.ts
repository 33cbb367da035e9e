import pc from 'picocolors';
import type { BillingReport } from './billing/ledger.ts';
import type { Flags } from './flags.ts';
import type { MemoryTrend } from './memory.ts';
import type { Finding, Tally } from './tally.ts';

export interface Result {
  readonly flags: Flags;
  readonly seconds: number;
  readonly tally: Tally;
  /** Of the gateway at the end of the requests; null: it did not say. */
  readonly rssMegabytes: number | null;
  /** Of the soak; null: there was none. */
  readonly memory: MemoryTrend | null;
  /** The ledger against what the servers say that they billed. */
  readonly billing: BillingReport;
  readonly leftovers: readonly string[];
}

/** All that must be 0 is, and the run was one. */
export function isGood({ tally, memory, billing, leftovers }: Result): boolean {
  const isClean = leftovers.length === 0 && billing.findings.length === 0 && billing.broken.length === 0;
  return tally.requests > 0 && tally.bad === 0 && isClean && memory?.isFlat !== false;
}

/** The table at the end. */
export function summaryLines({ flags, tally, seconds, rssMegabytes, memory, billing, leftovers }: Result): string[] {
  const { served, cut, failed, aborted } = tally.outcomes;
  const calls = `${tally.requests} requests, ${tally.attempts} upstream calls`;
  const lines = [
    pc.bold(`chaos, seed ${flags.seed}: ${calls}, ${seconds.toFixed(1)} s`),
    `  served ${served}, of them ${tally.failedOver} after a failure that the client did not see`,
    `  cut by a fault after the first content ${cut}, failed ${failed}, left by their clients ${aborted}`,
    `  took ${tally.durationMs(0.5)} ms (half), ${tally.durationMs(0.99)} ms (99 %), ${tally.durationMs(1)} ms (slowest)`,
    `  upstream calls were closed ${Math.round(tally.slowestCancelMs)} ms after their client had left at most`,
    `  memory of the gateway ${rssMegabytes === null ? 'unknown' : `${rssMegabytes.toFixed(0)} MB`}`,
    ...Object.entries(tally.violations).map(([name, count]) => mark(count === 0, `${name.padEnd(18)} ${count}`)),
  ];
  if (memory !== null) lines.push(mark(memory.isFlat, `soak: ${memoryText(memory)}`));
  lines.push(...billingLines(billing));
  lines.push(
    mark(leftovers.length === 0, `left behind        ${leftovers.length === 0 ? 'nothing' : leftovers.join('; ')}`),
  );
  return lines;
}

const MOST_BILLS = 10;

function billingLines({ rows, states, totals, findings, broken }: BillingReport): string[] {
  const sum = (name: 'answers' | 'invoicedNanoUsd' | 'recordedNanoUsd'): number =>
    Object.values(totals).reduce((all, one) => all + one[name], 0);
  const counts = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  return [
    `  ledger: ${rows} calls (${counts.join(', ')})`,
    mark(
      findings.length === 0,
      `bills              ${sum('answers')} answers, invoiced ${sum('invoicedNanoUsd')} nano-USD, on record ${sum('recordedNanoUsd')}, wrong rows ${findings.length}`,
    ),
    ...findings.slice(0, MOST_BILLS).map(({ fault, text }) => `      ${fault}: ${text}`),
    mark(broken.length === 0, `invariants         ${broken.length === 0 ? 'all hold' : broken.slice(0, 5).join('; ')}`),
  ];
}

function memoryText(memory: MemoryTrend): string {
  const { firstMegabytes, lastMegabytes, lowestMegabytes, highestMegabytes } = memory;
  const band = `between ${lowestMegabytes.toFixed(0)} and ${highestMegabytes.toFixed(0)}`;
  const line = `${memory.slopeMegabytesPerMinute.toFixed(2)} MB a minute, ${memory.growthMegabytes.toFixed(1)} MB in all`;
  return `${firstMegabytes.toFixed(0)} → ${lastMegabytes.toFixed(0)} MB, ${band}, line ${line}, ${memory.readings} readings`;
}

/** What to look at, and how to see it again. */
export function findingLines({ flags, tally }: Result): string[] {
  if (tally.findings.length === 0) return [];
  const numbers = tally.findings.map(({ number }) => number).join(',');
  const share = `--seed ${flags.seed} --faults ${flags.faults}`;
  return ['', ...tally.findings.map(findingLine), `again: npm run chaos -- ${share} --only ${numbers}`];
}

/** Everything about one finding. */
export function findingLine({
  number,
  violations,
  evidence: { plan, seen, arrivals, expected },
  absences,
}: Finding): string {
  const since = (atMs: number): string => `${Math.round(atMs - seen.startedAtMs)} ms`;
  const tried = arrivals.map(
    ({ target, atMs, fault, call }) =>
      `${target} +${since(atMs)} ${fault === null ? 'no fault' : JSON.stringify(fault)}${call.endedAtMs === null ? ', still open' : ''}`,
  );
  const away = absences.map(({ target, why, fromMs, toMs }) => `${target} ${why} ${since(fromMs)} to ${since(toMs)}`);
  const parts = [
    `${plan.stream ? 'stream' : 'whole'}${plan.tool ? ', tool' : ''}${plan.place === null ? '' : `, ${plan.place} only`}`,
    `${seen.end} ${seen.status} of ${seen.target} after ${since(seen.endedAtMs)}, attempts ${seen.attempts} ${seen.detail}`,
    ...(seen.error === null ? [] : [`error ${JSON.stringify(seen.error)}`]),
    `text ${JSON.stringify(seen.text.slice(0, 200))}`,
    ...(seen.text === expected ? [] : [`expected ${JSON.stringify(expected?.slice(0, 200))}`]),
    `finish ${seen.finishReason}, usage ${seen.hasUsage}, done ${seen.done}`,
    `tried ${tried.join(' · ') || 'nobody'}`,
    `away ${away.join(' · ') || 'nobody'}`,
  ];
  return `  ${number} ${pc.red(violations.join(', '))}: ${parts.join('; ')}`;
}

/** The result for machines. */
export function jsonOf(result: Result): unknown {
  const { flags, seconds, tally, rssMegabytes, memory, billing, leftovers } = result;
  const { outcomes, violations, attempts, failedOver, slowestCancelMs, findings } = tally;
  const durationMs = { half: tally.durationMs(0.5), p99: tally.durationMs(0.99), slowest: tally.durationMs(1) };
  const counts = { requests: tally.requests, outcomes, violations, attempts, failedOver, durationMs, slowestCancelMs };
  return {
    ok: isGood(result),
    flags,
    seconds,
    ...counts,
    rssMegabytes,
    memory,
    billing: { ...billing, findings: billing.findings.slice(0, MOST_BILLS), wrongRows: billing.findings.length },
    leftovers,
    findings: findings.map(plain),
  };
}

function plain({ evidence: { plan, expected, seen, arrivals }, ...finding }: Finding): unknown {
  const tried = arrivals.map(({ target, atMs, fault, call }) => ({ target, atMs, fault, endedAtMs: call.endedAtMs }));
  return { ...finding, request: plan.body, expected, seen, tried };
}

export function progressLine(tally: Tally, seconds: number): string {
  const { served, cut, failed, aborted } = tally.outcomes;
  const rate = Math.round(tally.requests / seconds);
  const counts = `served ${served}, cut ${cut}, failed ${failed}, left ${aborted}, violations ${tally.bad}`;
  return pc.dim(`${Math.round(seconds)} s  ${tally.requests} requests (${rate}/s): ${counts}`);
}

function mark(good: boolean, text: string): string {
  return good ? `  ${pc.green('ok ')} ${text}` : `  ${pc.red('BAD')} ${text}`;
}
