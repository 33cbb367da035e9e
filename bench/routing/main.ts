/** `npm run bench:routing -- --help` */
import { existsSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { describeCommit, describeMachine, describeVersions } from '../machine.ts';
import { formatJudgement } from '../report.ts';
import { calibrationOf, judgementsOf, OWN_NAME, runExperiments } from './experiments.ts';
import { summaryOf } from './figures.ts';
import { FLEETS, type Fleet } from './fleet/fleet.ts';
import { BASELINES, OWN, PERFECT, REORDERING, YARDSTICK_FAMILY } from './policies/index.ts';
import { terminalTable } from './report.ts';
import type { RoutingResult } from './result.ts';
import { toJson, writeDocuments, writeResult } from './results.ts';
import { findTraces } from './trace/find-traces.ts';
import { TraceError } from './trace/read-trace.ts';
import { beginningOf, type Trace } from './trace/trace.ts';

const QUICK_MINUTES = 6;
const FLEET_NAMES = FLEETS.map((fleet) => fleet.name).join(', ');

const HELP = `Replays request traces in virtual time against simulated fleets, once for each routing policy. A few minutes.

  npm run bench:routing                        all of it; writes bench/routing/results/<date>.json and docs/routing-benchmark.md
  npm run bench:routing -- --trace FILE        this trace instead (may be given again): JSON lines as of Mooncake
                                               (timestamp, input_length, output_length, hash_ids) or CSV as of Azure
                                               (TIMESTAMP,ContextTokens,GeneratedTokens); prints, writes nothing
  npm run bench:routing -- --fleet NAME        this fleet alone (may be given again): ${FLEET_NAMES}; prints, writes nothing
  npm run bench:routing -- --quick             the first ${QUICK_MINUTES} minutes of each trace; prints, writes nothing
  npm run bench:routing -- --seed N            another seed than 1
  npm run bench:routing -- --json FILE         also writes the result to FILE (- for the terminal)
  npm run bench:routing -- --docs              replays nothing: makes the page and its plots from the newest result

Without --trace, mooncake-conversation.jsonl and azure-llm-2023-code.csv are looked for in the folder that
SWARMROUTER_TRACES names, else in ../shared/data beside the checkout; without either, a seeded generator makes traces
with about their statistics, and the result says so.

Exit code 0 also when a target is missed (it is printed and recorded); 1 when a trace cannot be used; 2 for wrong flags.`;

interface Flags {
  readonly traces: readonly string[];
  readonly fleets: readonly Fleet[];
  readonly seed: number;
  readonly quick: boolean;
  readonly json: string | null;
  /** Not all of it: the dated file and the page stand for a whole run. */
  readonly partial: boolean;
}

/** A mistake of whoever calls; its message says what is allowed. */
class FlagError extends Error {}

function main(): number {
  try {
    const { values } = readArguments();
    if (values.help) {
      console.log(HELP);
      return 0;
    }
    return values.docs ? remakeDocuments() : measure(flagsOf(values));
  } catch (error) {
    if (error instanceof FlagError) return complain(error.message, 2);
    if (error instanceof TraceError) return complain(error.message, 1);
    throw error;
  }
}

const OPTIONS = {
  trace: { type: 'string', multiple: true },
  fleet: { type: 'string', multiple: true },
  seed: { type: 'string' },
  quick: { type: 'boolean', default: false },
  json: { type: 'string' },
  docs: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

function readArguments() {
  try {
    return parseArgs({ options: OPTIONS });
  } catch (error) {
    const allowed = Object.keys(OPTIONS).map((name) => `--${name}`);
    const problem = error instanceof Error ? error.message : String(error);
    throw new FlagError(`${problem.replace(/\.$/, '')}. Allowed: ${allowed.join(' ')}.`);
  }
}

function flagsOf(values: ReturnType<typeof readArguments>['values']): Flags {
  const traces = values.trace ?? [];
  const missing = traces.find((path) => !existsSync(path));
  if (missing !== undefined) throw new FlagError(`--trace ${missing}: no such file.`);
  const seed = Number(values.seed ?? 1);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new FlagError(`--seed is "${values.seed}". Allowed: a whole number of at least 0.`);
  }
  const partial = values.quick || traces.length > 0 || values.fleet !== undefined;
  return {
    traces,
    fleets: (values.fleet ?? FLEETS.map(({ name }) => name)).map(fleetNamed),
    seed,
    quick: values.quick,
    json: values.json ?? null,
    partial,
  };
}

function fleetNamed(name: string): Fleet {
  const fleet = FLEETS.find((candidate) => candidate.name === name);
  if (fleet === undefined) throw new FlagError(`--fleet knows no "${name}". Allowed: ${FLEET_NAMES}.`);
  return fleet;
}

function remakeDocuments(): number {
  if (writeDocuments()) return 0;
  return complain('bench/routing/results holds no result yet. Run `npm run bench:routing` first.', 1);
}

function measure(flags: Flags): number {
  const before = { date: new Date().toISOString().slice(0, 10), commit: describeCommit(), machine: describeMachine() };
  const startedAtMs = performance.now();
  const seconds = (): number => (performance.now() - startedAtMs) / 1000;
  const traces = findTraces(flags.traces, flags.seed).map((trace) => shortened(trace, flags.quick));
  const experiments = runExperiments({
    ...flags,
    traces,
    progress: (line) => console.error(pc.dim(`${String(Math.round(seconds())).padStart(4)} s  ${line}`)),
  });
  const result: RoutingResult = {
    ...before,
    versions: describeVersions(),
    quick: flags.quick,
    seed: flags.seed,
    seconds: seconds(),
    traces: traces.map(summaryOf),
    fleets: flags.fleets.map(({ name, says }) => ({ name, says })),
    policies: [
      ...BASELINES,
      ...PERFECT,
      ...REORDERING,
      ...OWN,
      ...YARDSTICK_FAMILY.members.slice(0, 1).map((one) => one.factory),
    ].map(({ name, says }) => ({ name, says })),
    own: OWN_NAME,
    ...experiments,
    judgements: judgementsOf(experiments),
    calibration: calibrationOf(experiments),
  };
  print(result);
  return keep(result, flags);
}

function shortened(trace: Trace, quick: boolean): Trace {
  const short = quick ? beginningOf(trace, QUICK_MINUTES) : trace;
  if (short.requests.length === 0) throw new FlagError(`the trace ${trace.name} holds no request.`);
  return short;
}

function print({ traces, comparisons, overloads, judgements, seconds }: RoutingResult): void {
  for (const { name, says, generated } of traces)
    console.log(`${generated ? pc.yellow(name) : pc.bold(name)}: ${says}`);
  for (const group of [...comparisons, ...overloads]) {
    console.log(`\n${pc.bold(`${group.trace} on ${group.fleet}`)}`);
    for (const line of terminalTable(group)) console.log(`  ${line}`);
  }
  console.log('');
  for (const judgement of judgements) {
    const verdict = judgement.met ? pc.green('met   ') : pc.red('MISSED');
    console.log(`${verdict} ${judgement.claim}: ${formatJudgement(judgement)}`);
  }
  console.log(pc.dim(`${seconds.toFixed(1)} s`));
}

function keep(result: RoutingResult, { json, partial }: Flags): number {
  if (json === '-') console.log(toJson(result));
  else if (json !== null) writeFileSync(json, `${toJson(result)}\n`);
  if (partial) return 0;
  writeResult(result);
  writeDocuments();
  console.log(`\nWritten: bench/routing/results/${result.date}.json and docs/routing-benchmark.md with its plots`);
  return 0;
}

function complain(message: string, exitCode: number): number {
  console.error(`bench:routing: ${message}`);
  return exitCode;
}

process.exitCode = main();
