/** One metric as `/metrics` shows it. */
export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
}

/**
 * Every metric the gateway exposes; the code that counts and the reference page both read this list.
 * No label ever holds text that a client can choose, so the number of series is bounded by the number of targets, of
 * projects by 256 and of budgets by a hundred.
 */
export const METRICS = [
  {
    name: 'swarmrouter_requests_total',
    type: 'counter',
    labels: ['outcome', 'place'],
    help: 'Client requests that ended, by how (served, cut, abandoned, exhausted, refused) and where the last attempt ran (local, cloud, none).',
  },
  {
    name: 'swarmrouter_shed_requests_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Requests refused unread because the gateway could not keep up, by reason (memory, loop_lag).',
  },
  {
    name: 'swarmrouter_refused_requests_total',
    type: 'counter',
    labels: ['reason'],
    help: 'Requests refused at the door, by reason: of credentials (missing, several, malformed, unknown, revoked, expired, operator_key), of what a key may have (model_not_allowed, place_not_allowed, route_not_allowed) or of its limits (rate_limit_exceeded).',
  },
  {
    name: 'swarmrouter_tenant_requests_total',
    type: 'counter',
    labels: ['organisation', 'project', 'outcome'],
    help: 'The same requests by whose they are (projects beyond 256 count together as (other)); refused ones include those that their key does not allow or that were over its limits.',
  },
  {
    name: 'swarmrouter_tenant_tokens_total',
    type: 'counter',
    labels: ['organisation', 'project', 'type'],
    help: 'Tokens of answers that targets reported, by whose they are: prompt, completion.',
  },
  {
    name: 'swarmrouter_budget_used_ratio',
    type: 'gauge',
    labels: ['organisation', 'scope', 'name', 'key_name', 'unit', 'window', 'hard'],
    help: 'Share of its limit that a budget has used in the window that runs, looked at every ten seconds; the 100 that have used most. `name` of a key is its id, as names need not be unique.',
  },
  {
    name: 'swarmrouter_ledger_findings',
    type: 'gauge',
    labels: ['invariant'],
    help: 'What the latest check of the ledger found that cannot be, by invariant (I1 to I8, at most 100 each); it is checked once a day, and after a start that followed a crash.',
  },
  {
    name: 'swarmrouter_ledger_overcharged_calls',
    type: 'gauge',
    labels: [],
    help: 'Calls on record, in the latest check of the ledger, that came to more than a hard budget had set aside for them: their servers kept to no limit or charged another price.',
  },
  {
    name: 'swarmrouter_ledger_overcharged_usd',
    type: 'gauge',
    labels: [],
    help: 'By how many US dollars those calls came to more than was set aside.',
  },
  {
    name: 'swarmrouter_ledger_overcharged_tokens',
    type: 'gauge',
    labels: [],
    help: 'By how many tokens those calls came to more than budgets in tokens had set aside.',
  },
  {
    name: 'swarmrouter_ledger_checked_timestamp_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the ledger was checked last, Unix time.',
  },
  {
    name: 'swarmrouter_attempts_total',
    type: 'counter',
    labels: ['target', 'provider', 'result'],
    help: 'Upstream calls, by target, adapter kind and result (ok, error, cancelled).',
  },
  {
    name: 'swarmrouter_errors_total',
    type: 'counter',
    labels: ['target', 'kind'],
    help: 'Failed upstream calls, by target and failure kind; cancelled calls are not errors.',
  },
  {
    name: 'swarmrouter_tokens_total',
    type: 'counter',
    labels: ['target', 'type'],
    help: 'Tokens that targets reported: prompt (cached ones included), completion (reasoning included), cached, reasoning.',
  },
  {
    name: 'swarmrouter_request_duration_seconds',
    type: 'histogram',
    labels: [],
    help: 'Time from accepting a client request to its end, streams included.',
  },
  {
    name: 'swarmrouter_first_token_seconds',
    type: 'histogram',
    labels: ['target'],
    help: 'Time from the start of an upstream call to its first real content; for whole replies to the reply.',
  },
  {
    name: 'swarmrouter_queue_wait_seconds',
    type: 'histogram',
    labels: ['target'],
    help: 'Time that attempts waited for a free slot; attempts that did not wait are not counted.',
  },
  {
    name: 'swarmrouter_target_in_flight',
    type: 'gauge',
    labels: ['target'],
    help: 'Upstream calls running now.',
  },
  {
    name: 'swarmrouter_target_queued',
    type: 'gauge',
    labels: ['target'],
    help: 'Requests waiting for a slot that this target may give.',
  },
  {
    name: 'swarmrouter_target_slots',
    type: 'gauge',
    labels: ['target'],
    help: 'Requests that the target runs at once; absent when there is no limit.',
  },
  {
    name: 'swarmrouter_target_healthy',
    type: 'gauge',
    labels: ['target'],
    help: '1 when the target takes requests, 0 when it is down, warming, absent or not probed yet.',
  },
  {
    name: 'swarmrouter_build_info',
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1; the label tells the version that runs.',
  },
  {
    name: 'process_cpu_seconds_total',
    type: 'counter',
    labels: [],
    help: 'User and system CPU time of the process.',
  },
  {
    name: 'process_resident_memory_bytes',
    type: 'gauge',
    labels: [],
    help: 'Resident memory of the process.',
  },
  {
    name: 'process_heap_bytes',
    type: 'gauge',
    labels: [],
    help: 'JavaScript heap in use.',
  },
  {
    name: 'process_start_time_seconds',
    type: 'gauge',
    labels: [],
    help: 'When the process started, in seconds since the Unix epoch.',
  },
] as const satisfies readonly MetricDescription[];

export type MetricName = (typeof METRICS)[number]['name'];

/** Upper bounds of every duration histogram, in seconds: 10 ms doubled up to 327.68 s. */
export const DURATION_BUCKETS: readonly number[] = Array.from({ length: 16 }, (_, step) => (10 * 2 ** step) / 1000);
