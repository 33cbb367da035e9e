import type { Comparison, Judgement } from '../result.ts';
import { judge } from '../result.ts';
import { figuresOf, worstRatioAtEqualSpend } from './figures.ts';
import { type Fleet, withCloud } from './fleet/fleet.ts';
import { replay } from './fleet/replay.ts';
import {
  BASELINES,
  OWN,
  OWN_FAMILIES,
  PERFECT,
  PERFECT_FAMILY,
  type PolicyFamily,
  REORDERING,
  YARDSTICK,
  YARDSTICK_FAMILY,
} from './policies/index.ts';
import type { Frontier, FrontierFamily, RunFigures, RunGroup } from './result.ts';
import { hastened, spreadOverTicks, type Trace } from './trace/trace.ts';

export interface Setup {
  readonly traces: readonly Trace[];
  readonly fleets: readonly Fleet[];
  readonly seed: number;
  progress(line: string): void;
}

export interface Experiments {
  readonly comparisons: readonly RunGroup[];
  readonly overloads: readonly RunGroup[];
  readonly frontiers: readonly Frontier[];
}

export const OVERLOAD = 1.5;
/** The fleets that the targets and the calibration are about. */
const ALIKE = ['12x8k', '16x4k', '24x4k'];
export const OWN_NAME = OWN.at(-1)?.name ?? '';

export function runExperiments(setup: Setup): Experiments {
  const { traces } = setup;
  const spread = traces.map(spreadOverTicks).filter((trace, at) => isDifferent(trace, traces[at]));
  const faster = traces.map((trace) => hastened(trace, OVERLOAD));
  return {
    comparisons: forEach(setup, [...traces, ...spread], (trace, fleet) => compare(setup, trace, fleet, true)),
    overloads: forEach(setup, faster, (trace, fleet) => compare(setup, trace, fleet, false)),
    frontiers: forEach(setup, traces, (trace, fleet) => frontier(setup, trace, withCloud(fleet))),
  };
}

export function findRun(group: RunGroup, policy: string): RunFigures {
  const run = group.runs.find((candidate) => candidate.policy === policy);
  if (run === undefined) throw new Error(`no run of ${policy} on ${group.fleet}`);
  return run;
}

/** The promises of the page. */
export function judgementsOf({ comparisons, overloads, frontiers }: Experiments): Judgement[] {
  const main = comparisons.filter(({ trace, fleet }) => trace.startsWith('conversation') && ALIKE.includes(fleet));
  return [
    ...main.filter(({ trace }) => !trace.endsWith('spread')).flatMap(judgeClosely),
    ...[...comparisons, ...overloads].map(judgeAgainstHarm),
    ...frontiers.flatMap(judgeFrontier),
  ];
}

/** What an earlier, independent simulation found on the recorded trace, and what this one finds. */
export function calibrationOf({ comparisons }: Experiments): Comparison[] {
  return comparisons
    .filter(({ trace, fleet }) => trace === 'conversation' && ALIKE.includes(fleet))
    .flatMap((group) => {
      const greedy = findRun(group, 'perfect-greedy');
      const yardstick = findRun(group, YARDSTICK.name);
      return [
        { claim: `${group.fleet}, p95`, value: greedy.p95Ms / yardstick.p95Ms, unit: '×' },
        { claim: `${group.fleet}, mean`, value: greedy.meanMs / yardstick.meanMs, unit: '×' },
        { claim: `${group.fleet}, prefix hits`, value: 100 * greedy.hitShare, unit: '%' },
      ];
    });
}

function judgeClosely(group: RunGroup): Judgement[] {
  const own = findRun(group, OWN_NAME);
  const perfect = findRun(group, group.perfect);
  const yardstick = findRun(group, YARDSTICK.name);
  const where = `${group.trace} on ${group.fleet}`;
  return [
    judge(`${where}: p95 ÷ that of perfect information`, own.p95Ms / perfect.p95Ms, '×', 'at most', 1.1),
    judge(`${where}: mean ÷ that of perfect information`, own.meanMs / perfect.meanMs, '×', 'at most', 1.1),
    judge(`${where}: p95 ÷ that of ${YARDSTICK.name}`, own.p95Ms / yardstick.p95Ms, '×', 'under', 0.8),
    judge(`${where}: mean ÷ that of ${YARDSTICK.name}`, own.meanMs / yardstick.meanMs, '×', 'under', 0.8),
  ];
}

function judgeAgainstHarm(group: RunGroup): Judgement {
  const own = findRun(group, OWN_NAME);
  const yardstick = findRun(group, YARDSTICK.name);
  const worst = Math.max(own.meanMs / yardstick.meanMs, own.p95Ms / yardstick.p95Ms);
  const claim = `${group.trace} on ${group.fleet}: the worse of mean and p95 ÷ that of ${YARDSTICK.name}`;
  return judge(claim, worst, '×', 'at most', 1.05);
}

function judgeFrontier({ trace, fleet, families }: Frontier): Judgement[] {
  const theirs = families.find(({ name }) => name === YARDSTICK_FAMILY.name);
  const ours = families.filter(({ name }) => OWN_FAMILIES.some((family) => family.name === name));
  if (theirs === undefined) return [];
  const worst = (measure: (run: RunFigures) => number): number => worstRatioAtEqualSpend(ours, theirs, measure);
  const claim = (what: string) => `${trace} on ${fleet}: ${what} ÷ that of ${theirs.name} at no higher spend, worst`;
  return [
    judge(
      claim('mean'),
      worst((run) => run.meanMs),
      '×',
      'at most',
      1,
    ),
    judge(
      claim('p95'),
      worst((run) => run.p95Ms),
      '×',
      'at most',
      1,
    ),
  ];
}

function compare(setup: Setup, trace: Trace, fleet: Fleet, withQuantiles: boolean): RunGroup {
  setup.progress(`${trace.name} on ${fleet.name}`);
  const run = (factory: (typeof OWN)[number]): RunFigures =>
    figuresOf(factory.name, replay(trace, fleet, factory, setup.seed), withQuantiles);
  const perfect = PERFECT.map(run);
  const best = perfect.reduce((a, b) => (b.meanMs < a.meanMs ? b : a));
  const runs = [...BASELINES.map(run), ...perfect, ...REORDERING.map(run), ...OWN.map(run)];
  return { trace: trace.name, fleet: fleet.name, perfect: best.policy, runs };
}

function frontier(setup: Setup, trace: Trace, fleet: Fleet): Frontier {
  setup.progress(`${trace.name} on ${fleet.name}: time against money`);
  const familyOf = ({ name, knob, members }: PolicyFamily): FrontierFamily => ({
    name,
    knob,
    points: members.map(({ setting, factory }) => ({
      setting,
      ...figuresOf(factory.name, replay(trace, fleet, factory, setup.seed), false),
    })),
  });
  const families = [YARDSTICK_FAMILY, PERFECT_FAMILY, ...OWN_FAMILIES].map(familyOf);
  return { trace: trace.name, fleet: fleet.name, families };
}

function forEach<T>(setup: Setup, traces: readonly Trace[], run: (trace: Trace, fleet: Fleet) => T): T[] {
  return traces.flatMap((trace) => setup.fleets.map((fleet) => run(trace, fleet)));
}

function isDifferent(spread: Trace, trace: Trace | undefined): boolean {
  return spread.requests.some((request, at) => request.arrivalMs !== trace?.requests[at]?.arrivalMs);
}
