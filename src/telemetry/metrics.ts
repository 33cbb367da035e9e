import { Gauge, Histogram, Registry } from 'prom-client';
import type { AttemptRecord, Outcome, OutcomeSink } from '../core/outcome.ts';
import type { TargetView } from '../core/target-view.ts';
import type { Usage } from '../core/usage.ts';
import { CounterCells } from './counter-cells.ts';
import { DURATION_BUCKETS, METRICS, type MetricDescription, type MetricName } from './metric-list.ts';
import { registerProcessMetrics } from './process-metrics.ts';

export interface MetricsOptions {
  readonly version: string;
  /** Read at each scrape. */
  readonly targets: () => readonly TargetView[];
}

/** Everything behind `/metrics`. */
export interface Metrics extends OutcomeSink {
  readonly contentType: string;
  /** The Prometheus text of this moment. */
  text(): Promise<string>;
}

/** Targets come and go through the admin API; beyond this many, their series are counted together as `other`. */
const MAX_TARGET_LABELS = 256;

/** @param options.version Shown by `swarmrouter_build_info`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const counted = createCounters(registry);
  const timed = createHistograms(registry);
  const labelOf = boundedLabels(MAX_TARGET_LABELS);
  registerTargetGauges(registry, options.targets);
  registerProcessMetrics(registry, describe);
  new Gauge({ ...promOptions('swarmrouter_build_info', registry) }).labels(options.version).set(1);

  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    record(outcome) {
      const last = lastAttempt(outcome);
      counted.requests.add(1, outcome.kind, last?.place ?? 'none');
      timed.request.observe(outcome.durationMs / 1000);
      for (const attempt of outcome.attempts) recordAttempt(attempt, failureOf(attempt, outcome));
      const usage = 'usage' in outcome ? outcome.usage : null;
      if (usage !== null && last !== undefined) recordTokens(labelOf(last.targetId), usage);
    },
  };

  function recordAttempt(attempt: AttemptRecord, failure: AttemptRecord['failure']): void {
    const target = labelOf(attempt.targetId);
    const result = failure === null ? 'ok' : failure === 'cancelled' ? 'cancelled' : 'error';
    counted.attempts.add(1, target, attempt.adapterKind, result);
    if (result === 'error') counted.errors.add(1, target, failure ?? '');
    if (attempt.firstContentMs !== null) timed.firstToken(target).observe(attempt.firstContentMs / 1000);
    if (attempt.queuedMs > 0) timed.queueWait(target).observe(attempt.queuedMs / 1000);
  }

  function recordTokens(target: string, usage: Usage): void {
    counted.tokens.add(usage.promptTokens, target, 'prompt');
    counted.tokens.add(usage.completionTokens, target, 'completion');
    if (usage.cachedTokens > 0) counted.tokens.add(usage.cachedTokens, target, 'cached');
    if (usage.reasoningTokens > 0) counted.tokens.add(usage.reasoningTokens, target, 'reasoning');
  }
}

/** Who answered; for requests that nobody answered, who was tried last. */
function lastAttempt(outcome: Outcome): AttemptRecord | undefined {
  const by = 'by' in outcome ? outcome.by : null;
  return by ?? outcome.attempts.at(-1);
}

/** A reply that broke after its first content is that target's failure, whatever its attempt said when it committed. */
function failureOf(attempt: AttemptRecord, outcome: Outcome): AttemptRecord['failure'] {
  if (outcome.kind === 'cut' && attempt === outcome.by) return attempt.failure ?? outcome.failure;
  if (outcome.kind === 'abandoned' && attempt === outcome.by) return attempt.failure ?? 'cancelled';
  return attempt.failure;
}

function describe(name: MetricName): MetricDescription {
  const found = METRICS.find((metric) => metric.name === name);
  if (found === undefined) throw new Error(`metric ${name} is not in METRICS`);
  return found;
}

function promOptions(name: MetricName, registry: Registry) {
  const { help, labels } = describe(name);
  return { name, help, labelNames: [...labels], registers: [registry] };
}

function createCounters(registry: Registry) {
  const cells = (name: MetricName): CounterCells => {
    const { help, labels } = describe(name);
    return new CounterCells(name, help, labels, registry);
  };
  return {
    requests: cells('swarmrouter_requests_total'),
    attempts: cells('swarmrouter_attempts_total'),
    errors: cells('swarmrouter_errors_total'),
    tokens: cells('swarmrouter_tokens_total'),
  };
}

function createHistograms(registry: Registry) {
  const histogram = (name: MetricName) =>
    new Histogram({ ...promOptions(name, registry), buckets: [...DURATION_BUCKETS] });
  return {
    request: histogram('swarmrouter_request_duration_seconds'),
    firstToken: childrenOf(histogram('swarmrouter_first_token_seconds')),
    queueWait: childrenOf(histogram('swarmrouter_queue_wait_seconds')),
  };
}

/** Resolves each label child once. */
function childrenOf(histogram: Histogram): (target: string) => Histogram.Internal<string> {
  const children = new Map<string, Histogram.Internal<string>>();
  return (target) => {
    let child = children.get(target);
    if (child === undefined) {
      child = histogram.labels(target);
      children.set(target, child);
    }
    return child;
  };
}

function boundedLabels(limit: number): (targetId: string) => string {
  const known = new Set<string>();
  return (targetId) => {
    if (known.has(targetId)) return targetId;
    if (known.size >= limit) return 'other';
    known.add(targetId);
    return targetId;
  };
}

function registerTargetGauges(registry: Registry, targets: () => readonly TargetView[]): void {
  const gauge = (name: MetricName, read: (view: TargetView) => number | null): void => {
    new Gauge({
      ...promOptions(name, registry),
      collect() {
        this.reset();
        for (const view of targets()) {
          const value = read(view);
          if (value !== null) this.set({ target: view.target.id }, value);
        }
      },
    });
  };
  gauge('swarmrouter_target_in_flight', (view) => view.inFlight);
  gauge('swarmrouter_target_queued', (view) => view.queued);
  gauge('swarmrouter_target_slots', (view) => view.slots);
  gauge('swarmrouter_target_healthy', (view) => (view.health === 'up' ? 1 : 0));
}
