/** What sums may be taken by. */
export const USAGE_GROUPS = ['key', 'project', 'model', 'target', 'place', 'day', 'hour'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

/** Which calls: of one organisation, by when each began. */
export interface UsageScope {
  readonly organisationId: string;
  /** Null: all of its projects. */
  readonly projectIds: readonly string[] | null;
  /** Wall clock, ms since the Unix epoch; `toMs` excluded. */
  readonly fromMs: number;
  readonly toMs: number;
}

export interface UsageQuery extends UsageScope {
  readonly groupBy: readonly UsageGroup[];
}

/** Sums of all upstream calls of the group. Money: nano-USD. */
export interface UsageSums {
  /** Client requests: one that was tried at two targets is one, and five that a client gave one id are five. */
  readonly requests: number;
  readonly attempts: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly costNanoUsd: number;
  readonly savedNanoUsd: number;
  /** Calls that are in the cost; what costs nothing for certain is, what was never billed is not. */
  readonly priced: number;
  /** Calls whose price nobody knows: they are not in the cost. Of a local one that was cut the use is unknown, not the price. */
  readonly unpriced: number;
  /** Calls that still run. */
  readonly open: number;
  /** Calls that nobody saw the end of; part of the cost is what was set aside for them. */
  readonly unknown: number;
  /** Of the cost: what those may have cost. */
  readonly maybeNanoUsd: number;
}

export interface UsageRow extends UsageSums {
  /** By group: names and ids; days and hours as the ms of their beginning; null: no key. */
  readonly group: Readonly<Partial<Record<UsageGroup, string | number | null>>>;
}

/** What is exported of an upstream call, in this order: the names of the ledger's columns. */
export const EXPORT_COLUMNS = [
  'organisation_id',
  'attempt_id',
  'request_id',
  'attempt',
  'project_id',
  'key_id',
  'target_id',
  'adapter_kind',
  'place',
  'model',
  'operation',
  'stream',
  'started_at_ms',
  'reserved_nano_usd',
  'reserved_tokens',
  'owner_id',
  'state',
  'ended_at_ms',
  'status',
  'failure',
  'client_outcome',
  'input_tokens',
  'cached_input_tokens',
  'output_tokens',
  'reasoning_tokens',
  'image_tokens',
  'audio_input_tokens',
  'audio_output_tokens',
  'cost_nano_usd',
  'cost_source',
  'saved_nano_usd',
  'estimated',
] as const;

/** One upstream call on record. */
export type UsageRecord = Readonly<Record<(typeof EXPORT_COLUMNS)[number], string | number | null>>;

/** Reports on the ledger; they hold up no request. */
export interface UsageReports {
  /** One row a group, in the order of the groups; without groups one row. */
  sums(query: UsageQuery): Promise<readonly UsageRow[]>;
  /** Every call of the time, oldest first; memory stays flat. */
  export(scope: UsageScope): AsyncIterable<UsageRecord>;
}
