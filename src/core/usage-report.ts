/** What sums may be taken by. */
export const USAGE_GROUPS = ['key', 'project', 'model', 'target', 'place', 'day', 'hour'] as const;
export type UsageGroup = (typeof USAGE_GROUPS)[number];

/** Which calls: of one organisation, by when each began. */
export interface UsageScope {
  readonly organisationId: string;
  /** Null: of all its projects. */
  readonly projectId: string | null;
  /** Wall clock, ms since the Unix epoch; `toMs` excluded. */
  readonly fromMs: number;
  readonly toMs: number;
}

export interface UsageQuery extends UsageScope {
  readonly groupBy: readonly UsageGroup[];
}

/** Sums of all upstream calls of the group. Money: nano-USD. */
export interface UsageSums {
  /** Client requests by their ids; one that was tried at two targets is one, and so are those that a client gave one id. */
  readonly requests: number;
  readonly attempts: number;
  readonly inputTokens: number;
  readonly cachedInputTokens: number;
  readonly outputTokens: number;
  readonly reasoningTokens: number;
  readonly costNanoUsd: number;
  readonly savedNanoUsd: number;
  /** Calls whose price nobody knows: they are not in the cost. */
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

/** One upstream call on record, by the names of the ledger's columns. */
export type UsageRecord = Readonly<Record<string, string | number | null>>;

/** Reports on the ledger; they hold up no request. */
export interface UsageReports {
  /** One row a group, in the order of the groups; without groups one row. */
  sums(query: UsageQuery): Promise<readonly UsageRow[]>;
  /** Every call of the time, oldest first; memory stays flat. */
  export(scope: UsageScope): AsyncIterable<UsageRecord>;
}
