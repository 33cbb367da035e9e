import pc from 'picocolors';
import type { MemoryTrend } from './memory.ts';
import type { Finding, Tally } from './run.ts';

/** The table at the end. */
export function summaryLines(
  seed: number,
  tally: Tally,
  seconds: number,
  memory: MemoryTrend | null,
  leaks: readonly string[],
): string[] {
  const { served, cut, failed, aborted } = tally.outcomes;
  const lines = [
    pc.bold(
      `chaos, seed ${seed}: ${tally.requests} requests, ${tally.attempts} upstream calls, ${seconds.toFixed(1)} s`,
    ),
    `  served ${served}, of them ${tally.failedOver} after a failure that the client did not see`,
    `  cut by a fault after the first content ${cut}, failed ${failed}, left by their clients ${aborted}`,
    ...Object.entries(tally.violations).map(([name, count]) => mark(count === 0, `${name.padEnd(18)} ${count}`)),
  ];
  if (memory !== null) {
    const { firstMegabytes, lastMegabytes, slopeMegabytesPerMinute, growthMegabytes } = memory;
    const text = `memory ${firstMegabytes.toFixed(0)} → ${lastMegabytes.toFixed(0)} MB, line ${slopeMegabytesPerMinute.toFixed(2)} MB a minute, ${growthMegabytes.toFixed(1)} MB in all`;
    lines.push(mark(memory.isFlat, text));
  }
  lines.push(mark(leaks.length === 0, `left behind        ${leaks.length === 0 ? 'nothing' : leaks.join('; ')}`));
  return lines;
}

/** What to look at, and how to see it again. */
export function findingLines(tally: Tally, seed: number): string[] {
  if (tally.findings.length === 0) return [];
  const numbers = tally.findings.map(({ number }) => number).join(',');
  return ['', ...tally.findings.map(findingLine), `again: npm run chaos -- --seed ${seed} --only ${numbers}`];
}

function findingLine({ number, violations, arrivals, seen }: Finding): string {
  const tried = arrivals.map(
    ({ target, atMs, fault }) =>
      `${target} +${Math.round(atMs - seen.startedAtMs)} ms ${fault === null ? 'no fault' : JSON.stringify(fault)}`,
  );
  const took = Math.round(seen.endedAtMs - seen.startedAtMs);
  return `  ${number} ${violations.join(', ')}: ${seen.end} ${seen.status} after ${took} ms, ${seen.detail}; text ${JSON.stringify(seen.text.slice(0, 80))}; tried ${tried.join(' · ')}`;
}

function mark(good: boolean, text: string): string {
  return good ? `  ${pc.green('ok ')} ${text}` : `  ${pc.red('BAD')} ${text}`;
}
