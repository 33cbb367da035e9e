import { DurationHistogram } from './duration-histogram.ts';
import { DURATION_BUCKETS, METRICS, type MetricDescription, type MetricName } from './metric-list.ts';

/** One series of a metric. */
export interface Sample {
  /** In the order of the metric's declared label names. */
  readonly labels: readonly string[];
  readonly value: number | DurationHistogram;
}

/** What a scrape shows: every declared metric has its series, be it none. */
export type Samples = Readonly<Record<MetricName, readonly Sample[]>>;

/** All declared metrics as one page of Prometheus text, in the order of their declaration. */
export function exposition(samples: Samples): string {
  return `${METRICS.map((metric) => family(metric, samples[metric.name])).join('\n\n')}\n`;
}

function family(metric: MetricDescription, samples: readonly Sample[]): string {
  const { name, type, help } = metric;
  const head = [`# HELP ${name} ${escapedHelp(help)}`, `# TYPE ${name} ${type}`];
  return [...head, ...samples.flatMap((sample) => seriesLines(metric, sample))].join('\n');
}

function seriesLines({ name, labels: labelNames }: MetricDescription, { labels, value }: Sample): string[] {
  const pairs = labelNames.map((label, at) => `${label}="${escapedLabel(labels[at] ?? '')}"`);
  return value instanceof DurationHistogram
    ? histogramLines(name, pairs, value)
    : [`${name}${braced(pairs)} ${numberText(value)}`];
}

function histogramLines(name: string, pairs: readonly string[], histogram: DurationHistogram): string[] {
  let upToHere = 0;
  const buckets = Array.from(histogram.counts, (count, at) => {
    upToHere += count;
    const bound = DURATION_BUCKETS[at] ?? Number.POSITIVE_INFINITY;
    return `${name}_bucket${braced([`le="${numberText(bound)}"`, ...pairs])} ${upToHere}`;
  });
  return [
    ...buckets,
    `${name}_sum${braced(pairs)} ${numberText(histogram.sumSeconds)}`,
    `${name}_count${braced(pairs)} ${upToHere}`,
  ];
}

function braced(pairs: readonly string[]): string {
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function numberText(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}

function escapedHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function escapedLabel(text: string): string {
  return escapedHelp(text).replaceAll('"', '\\"');
}
