import type { FrontierFamily, RoutingResult, RunFigures, RunGroup } from './result.ts';
import { type Axis, type Panel, renderPlots, type Series } from './svg.ts';

/** Told apart also by those who see few colours. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#999999', '#b0a000', '#000000'];

/** The share of requests whose first token has come after so long. */
export function firstTokenPlot(result: RoutingResult): string {
  const trace = result.traces[0]?.name;
  const groups = result.comparisons.filter((group) => group.trace === trace);
  return renderPlots('First-token times', groups.map(distributionPanel));
}

/** Mean and p95 first-token time against what is spent. */
export function frontierPlot(result: RoutingResult): string {
  const trace = result.traces[0]?.name;
  const frontiers = result.frontiers.filter((frontier) => frontier.trace === trace);
  const panels = frontiers.flatMap(({ fleet, families }) => [
    frontierPanel(`${fleet}: mean`, families, (run) => run.meanMs),
    frontierPanel(`${fleet}: p95`, families, (run) => run.p95Ms),
  ]);
  return renderPlots('First-token time against cloud spend', panels);
}

function distributionPanel({ trace, fleet, runs }: RunGroup): Panel {
  const shares = [0, 0.25, 0.5, 0.75, 0.95, 1];
  return {
    title: `${trace} on ${fleet}`,
    x: secondsAxis('seconds to the first token', 0.05, 200),
    y: {
      label: 'share of requests',
      scale: 'linear',
      from: 0,
      to: 1,
      ticks: shares.map((at) => ({ at, text: percent(at) })),
    },
    series: runs.map(distribution),
  };
}

function distribution({ policy, quantilesMs }: RunFigures, at: number): Series {
  const points = Object.entries(quantilesMs ?? {}).map(
    ([name, ms]) => [ms / 1000, Number(name.slice(1)) / 100] as const,
  );
  return { name: policy, colour: COLOURS[at % COLOURS.length] ?? '#000', dashed: policy.startsWith('perfect'), points };
}

function frontierPanel(
  title: string,
  families: readonly FrontierFamily[],
  measure: (run: RunFigures) => number,
): Panel {
  const all = families.flatMap(({ points }) => points);
  const most = Math.max(1, ...all.map(({ dollars }) => dollars));
  const slowest = Math.max(...all.map(measure)) / 1000;
  return {
    title,
    x: linearAxis('dollars to the cloud', most),
    y: linearAxis('seconds to the first token', slowest),
    series: families.map(({ name, points }, at) => ({
      name,
      colour: COLOURS[at % COLOURS.length] ?? '#000',
      dashed: name.startsWith('perfect'),
      marked: true,
      points: points.map((point) => [point.dollars, measure(point) / 1000] as const).sort(([a], [b]) => a - b),
    })),
  };
}

function secondsAxis(label: string, from: number, to: number): Axis {
  const ticks = [0.1, 0.3, 1, 3, 10, 30, 100].map((at) => ({ at, text: String(at) }));
  return { label, scale: 'log', from, to, ticks };
}

function linearAxis(label: string, most: number): Axis {
  const step = roundStep(most / 5);
  const count = Math.ceil(most / step);
  const ticks = Array.from({ length: count + 1 }, (_, at) => ({
    at: at * step,
    text: String(Number((at * step).toFixed(6))),
  }));
  return { label, scale: 'linear', from: 0, to: count * step, ticks };
}

/** 1, 2 or 5 times a power of ten, not less than asked. */
function roundStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((factor) => factor * power >= least) ?? 10) * power;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
