import type { Caller } from '../core/caller.ts';
import type { AttemptRecord, Outcome, OutcomeSink } from '../core/outcome.ts';
import { NANO_PER_USD } from '../core/price.ts';
import type { TargetView } from '../core/target-view.ts';
import { DurationHistogram } from './duration-histogram.ts';
import { exposition, type Sample, type Samples } from './exposition.ts';
import { processSamples } from './process-metrics.ts';
import { type TargetCounts, TargetCountsTable } from './target-counts.ts';
import { type TenantCounts, TenantCountsTable } from './tenant-counts.ts';

export interface MetricsOptions {
  readonly version: string;
  /** Read at each scrape. */
  readonly targets: () => readonly TargetView[];
  /** Requests refused because the process could not keep up, by reason. */
  readonly shed: () => Readonly<Record<string, number>>;
  /** Requests refused at the door, by reason. */
  readonly refused: () => Readonly<Record<string, number>>;
  /** Those budgets that have used most of their limits. */
  readonly budgets: () => readonly BudgetUsed[];
  /** What the latest check of the ledger found; null: none was made. */
  readonly ledger: () => LedgerChecked | null;
}

export interface LedgerChecked {
  /** Wall clock, ms since the Unix epoch. */
  readonly checkedAtMs: number;
  /** How many, by invariant. */
  readonly findings: Readonly<Record<string, number>>;
  /** Calls that came to more than a hard budget had set aside for them, and by how much. */
  readonly overcharged: { readonly calls: number; readonly excessNanoUsd: number; readonly excessTokens: number };
}

/** How much of its limit a budget has used. */
export interface BudgetUsed {
  readonly budget: {
    readonly organisationId: string;
    readonly scope: string;
    readonly scopeId: string;
    readonly unit: string;
    readonly window: string;
    readonly hard: boolean;
  };
  readonly ratio: number;
  /** Null: it is not of a key. */
  readonly keyName: string | null;
}

/** Everything behind `/metrics`. */
export interface Metrics extends OutcomeSink {
  /** The Prometheus text of this moment. */
  text(): Promise<string>;
  /** A request of somebody who is known that was refused before it became one with an outcome. */
  countRefused(caller: Caller): void;
}

/** Targets come and go through the admin API; beyond this many, their series are counted together as `other`. */
const MAX_TARGET_LABELS = 256;
/** The same for projects. */
const MAX_TENANT_LABELS = 256;

/** @param options.version Shown by `swarmrouter_build_info`. */
export function createMetrics(options: MetricsOptions): Metrics {
  const requests = createRequestCounts();
  const requestDuration = new DurationHistogram();
  const counts = new TargetCountsTable(MAX_TARGET_LABELS);
  const tenants = new TenantCountsTable(MAX_TENANT_LABELS);
  return {
    async text() {
      return exposition({
        swarmrouter_requests_total: requestSamples(requests),
        swarmrouter_request_duration_seconds: [{ labels: [], value: requestDuration }],
        swarmrouter_shed_requests_total: reasonSamples(options.shed()),
        swarmrouter_refused_requests_total: reasonSamples(options.refused()),
        ...tenantSamples(tenants.all()),
        swarmrouter_budget_used_ratio: options.budgets().map(budgetSample),
        ...ledgerSamples(options.ledger()),
        ...countedSamples(counts.all()),
        ...gaugeSamples(options.targets()),
        swarmrouter_build_info: [{ labels: [options.version], value: 1 }],
        ...processSamples(),
      });
    },
    countRefused: (caller) => tenants.countRequest(caller, 'refused'),
    record(outcome) {
      const { caller } = outcome.request;
      tenants.countRequest(caller, outcome.kind);
      const last = lastAttempt(outcome);
      requests[outcome.kind][last?.place ?? 'none']++;
      requestDuration.observe(outcome.durationMs / 1000);
      for (const attempt of outcome.attempts) {
        counts.of(attempt.targetId).countAttempt(attempt, failureOf(attempt, outcome));
      }
      const usage = 'usage' in outcome ? outcome.usage : null;
      if (usage !== null) tenants.countTokens(caller, usage);
      if (usage !== null && last !== undefined) counts.of(last.targetId).countTokens(usage);
    },
  };
}

/** Who answered; for requests that nobody answered, who was called last. */
function lastAttempt(outcome: Outcome): AttemptRecord | undefined {
  const by = 'by' in outcome ? outcome.by : null;
  return by ?? outcome.attempts.findLast(({ notMade }) => notMade !== true);
}

/** A reply that broke after its first content is that target's failure, whatever its attempt said when it committed. */
function failureOf(attempt: AttemptRecord, outcome: Outcome): AttemptRecord['failure'] {
  if (outcome.kind === 'cut' && attempt === outcome.by) return attempt.failure ?? outcome.failure;
  if (outcome.kind === 'abandoned' && attempt === outcome.by) return attempt.failure ?? 'cancelled';
  return attempt.failure;
}

type PlaceCounts = Record<AttemptRecord['place'] | 'none', number>;
type RequestCounts = Readonly<Record<Outcome['kind'], PlaceCounts>>;

function createRequestCounts(): RequestCounts {
  const zero = (): PlaceCounts => ({ local: 0, cloud: 0, none: 0 });
  return { served: zero(), cut: zero(), abandoned: zero(), exhausted: zero(), refused: zero() };
}

function requestSamples(requests: RequestCounts): Sample[] {
  return Object.entries(requests).flatMap(([outcome, places]) =>
    aboveZero(Object.entries(places).map(([place, value]) => ({ labels: [outcome, place], value }))),
  );
}

/** A series begins with its first count, so that a page does not list all that never happened. */
function aboveZero<Counted extends { readonly value: number }>(samples: readonly Counted[]): Counted[] {
  return samples.filter(({ value }) => value > 0);
}

function ledgerSamples(checked: LedgerChecked | null) {
  const one = (value: number | undefined): Sample[] => (value === undefined ? [] : [{ labels: [], value }]);
  const findings = Object.entries(checked?.findings ?? {});
  const above = checked?.overcharged;
  return {
    swarmrouter_ledger_findings: findings.map(([rule, value]) => ({ labels: [rule], value })),
    swarmrouter_ledger_overcharged_calls: one(above?.calls),
    swarmrouter_ledger_overcharged_usd: one(above && above.excessNanoUsd / NANO_PER_USD),
    swarmrouter_ledger_overcharged_tokens: one(above?.excessTokens),
    swarmrouter_ledger_checked_timestamp_seconds: one(checked === null ? undefined : checked.checkedAtMs / 1000),
  };
}

function budgetSample({ budget, ratio, keyName }: BudgetUsed): Sample {
  const { organisationId, scope, scopeId, unit, window, hard } = budget;
  return { labels: [organisationId, scope, scopeId, keyName ?? '', unit, window, String(hard)], value: ratio };
}

function reasonSamples(shed: Readonly<Record<string, number>>): Sample[] {
  return aboveZero(Object.entries(shed).map(([reason, value]) => ({ labels: [reason], value })));
}

function tenantSamples(tenants: readonly TenantCounts[]) {
  const samples = (of: (tenant: TenantCounts) => Readonly<Record<string, number>>): Sample[] =>
    tenants.flatMap((tenant) =>
      aboveZero(
        Object.entries(of(tenant)).map(([name, value]) => ({
          labels: [tenant.organisation, tenant.project, name],
          value,
        })),
      ),
    );
  return {
    swarmrouter_tenant_requests_total: samples(({ requests }) => requests),
    swarmrouter_tenant_tokens_total: samples(({ tokens }) => tokens),
  } satisfies Partial<Samples>;
}

function countedSamples(targets: readonly TargetCounts[]) {
  const seen = (label: string, histogram: DurationHistogram): Sample[] =>
    histogram.count > 0 ? [{ labels: [label], value: histogram }] : [];
  return {
    swarmrouter_attempts_total: targets.flatMap(attemptSamples),
    swarmrouter_errors_total: targets.flatMap(({ label, errors }) =>
      [...errors].map(([kind, value]) => ({ labels: [label, kind], value })),
    ),
    swarmrouter_tokens_total: targets.flatMap(tokenSamples),
    swarmrouter_first_token_seconds: targets.flatMap(({ label, firstToken }) => seen(label, firstToken)),
    swarmrouter_queue_wait_seconds: targets.flatMap(({ label, queueWait }) => seen(label, queueWait)),
  } satisfies Partial<Samples>;
}

function attemptSamples({ label, results }: TargetCounts): Sample[] {
  return [...results].flatMap(([provider, counts]) =>
    aboveZero(Object.entries(counts).map(([result, value]) => ({ labels: [label, provider, result], value }))),
  );
}

function tokenSamples({ label, tokens, usageReports }: TargetCounts): Sample[] {
  if (usageReports === 0) return [];
  const always: Sample[] = [
    { labels: [label, 'prompt'], value: tokens.prompt },
    { labels: [label, 'completion'], value: tokens.completion },
  ];
  const ofSome = [
    { labels: [label, 'cached'], value: tokens.cached },
    { labels: [label, 'reasoning'], value: tokens.reasoning },
  ];
  return [...always, ...aboveZero(ofSome)];
}

function gaugeSamples(views: readonly TargetView[]) {
  const gauge = (read: (view: TargetView) => number | null): Sample[] =>
    views.flatMap((view) => {
      const value = read(view);
      return value === null ? [] : [{ labels: [view.target.id], value }];
    });
  return {
    swarmrouter_target_in_flight: gauge((view) => view.inFlight),
    swarmrouter_target_queued: gauge((view) => view.queued),
    swarmrouter_target_slots: gauge((view) => view.slots),
    swarmrouter_target_healthy: gauge((view) => (view.health === 'up' ? 1 : 0)),
  } satisfies Partial<Samples>;
}
