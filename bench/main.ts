/** `npm run bench -- --help` */
import { parseArgs } from 'node:util';
import pc from 'picocolors';
import { describeCommit, describeMachine, describeVersions } from './machine.ts';
import { micro } from './micro/micro.ts';
import { pinSelf } from './process.ts';
import { formatJudgement, formatNumber } from './report.ts';
import { type BenchResult, type Figure, updated } from './result.ts';
import { newestResult, writePage, writeResult } from './results.ts';
import { accounts } from './scenarios/accounts.ts';
import { deadNode } from './scenarios/dead-node.ts';
import { disconnects } from './scenarios/disconnects.ts';
import { firstToken } from './scenarios/first-token.ts';
import { manyStreams } from './scenarios/many-streams.ts';
import { outage } from './scenarios/outage.ts';
import type { BenchContext, Scenario } from './scenarios/scenario.ts';
import { soak } from './scenarios/soak.ts';
import { startAndRest } from './scenarios/start-and-rest.ts';
import { startWithAccounts } from './scenarios/start-with-accounts.ts';
import { streamChunks } from './scenarios/stream-chunks.ts';
import { wholeRequests } from './scenarios/whole-requests.ts';
import { type Subject, Upstream } from './subjects.ts';

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  whole: wholeRequests,
  'first-token': firstToken,
  chunks: streamChunks,
  streams: manyStreams,
  'dead-node': deadNode,
  outage,
  disconnects,
  soak,
  start: startAndRest,
  accounts,
  'start-accounts': startWithAccounts,
  micro,
};

const HELP = `Measures the gateway beside bare pass-throughs. Linux; about 24 minutes.

  npm run bench                        all of it; writes bench/results/<date>.json and docs/benchmarks.md
  npm run bench -- --only NAME[,NAME]  some of: ${Object.keys(SCENARIOS).join(' ')}; prints, writes nothing
  npm run bench -- --only NAME[,NAME] --update   puts them in place of those of the newest result; writes as a whole run does
  npm run bench -- --quick             short rounds, about a minute; prints, writes nothing
  npm run bench -- --json FILE         also writes the result to FILE (- for the terminal)
  npm run bench -- --docs              measures nothing: makes docs/benchmarks.md from the newest result

Exit code 0 also when a target is missed (it is printed and recorded); 1 when something could not be measured.`;

interface Flags {
  readonly names: readonly string[];
  readonly partial: boolean;
  readonly update: boolean;
  readonly quick: boolean;
  readonly json: string | null;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      update: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      docs: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (values.docs) return remakePage();
  const names = values.only?.split(',') ?? Object.keys(SCENARIOS);
  const unknown = names.filter((name) => SCENARIOS[name] === undefined);
  if (unknown.length > 0) {
    console.error(`bench: --only knows no "${unknown.join('", "')}". Allowed: ${Object.keys(SCENARIOS).join(', ')}.`);
    return 2;
  }
  if (process.platform !== 'linux') {
    console.error(
      `bench: CPU and memory are read from /proc, which ${process.platform} does not have. Run it on Linux.`,
    );
    return 1;
  }
  return measure({
    ...{ names, partial: values.only !== undefined, update: values.update },
    ...{ quick: values.quick, json: values.json ?? null },
  });
}

function remakePage(): number {
  if (writePage()) return 0;
  console.error('bench: bench/results holds no result yet. Run `npm run bench` first.');
  return 1;
}

async function measure(flags: Flags): Promise<number> {
  const before = { date: new Date().toISOString().slice(0, 10), commit: describeCommit(), machine: describeMachine() };
  pinSelf();
  const { figures, failures } = await runScenarios(flags);
  const result: BenchResult = { ...before, versions: describeVersions(), quick: flags.quick, figures };
  for (const figure of figures) printFigure(figure);
  for (const failure of failures) console.log(pc.red(`could not measure ${failure}`));
  if (flags.json === '-') console.log(JSON.stringify(result, null, 2));
  else if (flags.json !== null) writeResult(result, flags.json);
  // The dated file and the page stand for all scenarios.
  const earlier = flags.partial && flags.update ? newestResult() : null;
  const whole = earlier === null ? result : updated(earlier, result);
  if ((!flags.partial || earlier !== null) && !flags.quick && failures.length === 0) {
    writeResult(whole);
    writePage();
    console.log(`\nWritten: bench/results/${result.date}.json and docs/benchmarks.md`);
  }
  return failures.length === 0 ? 0 : 1;
}

async function runScenarios(flags: Flags): Promise<{ figures: Figure[]; failures: string[] }> {
  const figures: Figure[] = [];
  const failures: string[] = [];
  for (const name of flags.names) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) continue;
    const started = new Set<Subject>();
    try {
      const upstream = await Upstream.start();
      started.add(upstream);
      figures.push(...(await scenario(contextOf(name, upstream, flags.quick, started))));
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    await Promise.all([...started].map((subject) => subject.stop()));
  }
  return { figures, failures };
}

function contextOf(name: string, upstream: Upstream, quick: boolean, started: Set<Subject>): BenchContext {
  const startedAtMs = performance.now();
  return {
    upstream,
    quick,
    progress: (line) => {
      const seconds = Math.round((performance.now() - startedAtMs) / 1000);
      console.error(pc.dim(`${name} ${String(seconds).padStart(3)} s  ${line}`));
    },
    keep: (subject) => {
      started.add(subject);
      return subject;
    },
  };
}

function printFigure(figure: Figure): void {
  console.log(`\n${pc.bold(figure.title)} (${figure.unit})`);
  const width = Math.max(...figure.measurements.map((entry) => entry.subject.length));
  for (const { subject, median, rounds } of figure.measurements) {
    const spread = pc.dim(`${formatNumber(Math.min(...rounds))} to ${formatNumber(Math.max(...rounds))}`);
    console.log(`  ${subject.padEnd(width)}  ${formatNumber(median).padStart(9)}  ${spread}`);
  }
  for (const judgement of figure.judgements) {
    const verdict = judgement.met ? pc.green('met   ') : pc.red('MISSED');
    console.log(`  ${verdict} ${judgement.claim}: ${formatJudgement(judgement)}`);
  }
  for (const { claim, value, unit } of figure.comparisons) {
    console.log(pc.dim(`         ${claim}: ${formatNumber(value)} ${unit}`));
  }
}

process.exit(await main());
