import { DURATION_BUCKETS, METRICS, type MetricDescription } from './metric-list.ts';

/** The reference page of `/metrics` as Markdown, derived from the declared list. */
export function metricsPage(): string {
  const metrics: readonly MetricDescription[] = METRICS;
  const rows = metrics.map(({ name, type, labels, help }) => {
    const shownLabels = labels.length === 0 ? '–' : labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${type} | ${shownLabels} | ${help} |`;
  });
  return [
    '# Metrics',
    '',
    '`GET /metrics` answers in the Prometheus text format. Gauges are read at the moment of the scrape.',
    'A label never holds text that a client can choose, so the number of series follows the number of targets.',
    '',
    '| Name | Type | Labels | Meaning |',
    '|---|---|---|---|',
    ...rows,
    '',
    `Duration histograms have ${DURATION_BUCKETS.length} buckets: 0.01 s, doubled up to ${DURATION_BUCKETS.at(-1)} s.`,
    '',
  ].join('\n');
}
