import { type ExpressionBuilder, type Kysely, type RawBuilder, type Selectable, sql } from 'kysely';
import {
  EXPORT_COLUMNS,
  type UsageGroup,
  type UsageQuery,
  type UsageReports,
  type UsageRow,
  type UsageScope,
  type UsageSums,
} from '../../../core/usage-report.ts';
import type { LedgerAttemptTable, Tables } from '../tables.ts';

const GROUPS = {
  key: sql.ref('key_id'),
  project: sql.ref('project_id'),
  model: sql.ref('model'),
  target: sql.ref('target_id'),
  place: sql.ref('place'),
  day: sql`started_at_ms - started_at_ms % 86400000`,
  hour: sql`started_at_ms - started_at_ms % 3600000`,
} as const satisfies Record<UsageGroup, RawBuilder<unknown>>;

const SUMS: Readonly<Record<keyof UsageSums, string>> = {
  requests: "count(distinct request_id || ' ' || turn)",
  attempts: 'count(*)',
  inputTokens: 'coalesce(sum(input_tokens), 0)',
  cachedInputTokens: 'coalesce(sum(cached_input_tokens), 0)',
  outputTokens: 'coalesce(sum(output_tokens), 0)',
  reasoningTokens: 'coalesce(sum(reasoning_tokens), 0)',
  costNanoUsd: 'coalesce(sum(cost_nano_usd), 0)',
  savedNanoUsd: 'coalesce(sum(saved_nano_usd), 0)',
  priced: "coalesce(sum(case when state in ('settled', 'unknown') and cost_nano_usd is not null then 1 else 0 end), 0)",
  // Of a local call that nobody saw the end of the price is known: what it used is not, which `unknown` counts.
  unpriced:
    "coalesce(sum(case when (state = 'settled' or (state = 'unknown' and place <> 'local')) and cost_nano_usd is null then 1 else 0 end), 0)",
  open: "coalesce(sum(case when state = 'reserved' then 1 else 0 end), 0)",
  unknown: "coalesce(sum(case when state = 'unknown' then 1 else 0 end), 0)",
  maybeNanoUsd: "coalesce(sum(case when state = 'unknown' then cost_nano_usd else 0 end), 0)",
};

/** What groups and sums are made of. */
const SUMMED_COLUMNS = [
  ...(['request_id', 'key_id', 'project_id', 'model', 'target_id', 'place', 'started_at_ms', 'state'] as const),
  ...(['input_tokens', 'cached_input_tokens', 'output_tokens', 'reasoning_tokens'] as const),
  ...(['cost_nano_usd', 'saved_nano_usd'] as const),
] as const;

export type ExportedAttempt = Pick<Selectable<LedgerAttemptTable>, (typeof EXPORT_COLUMNS)[number]>;

/** Rows of the ledger at once, while exporting. */
const PAGE = 1_000;

/** Reports: read only, on a connection of their own. */
export class UsageRepository implements UsageReports {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  /** One row a group, in the order of the groups; without groups one row. */
  async sums({ organisationId, projectIds, fromMs, toMs, groupBy }: UsageQuery): Promise<readonly UsageRow[]> {
    const columns = groupBy.map((group) => GROUPS[group].as(`by_${group}`));
    const sums = Object.entries(SUMS).map(([name, text]) => sql<number>`cast(${sql.raw(text)} as bigint)`.as(name));
    const sameCall = [...groupBy.map((group) => GROUPS[group]), sql.ref('request_id'), sql.ref('attempt')];
    let calls = this.#db
      .selectFrom('ledger_attempt')
      .select(SUMMED_COLUMNS)
      // Clients may give many requests one id: the second first call under it is of a second request.
      .select(sql<number>`row_number() over (partition by ${sql.join(sameCall)})`.as('turn'))
      .where('organisation_id', '=', organisationId)
      .where('started_at_ms', '>=', fromMs)
      .where('started_at_ms', '<', toMs);
    if (projectIds !== null) calls = calls.where((eb) => inProjects(eb, projectIds));
    let query = this.#db.selectFrom(calls.as('calls')).select([...columns, ...sums]);
    // By position: the names of days and hours are expressions.
    for (const [index] of groupBy.entries()) {
      query = query.groupBy(sql.raw(String(index + 1))).orderBy(sql.raw(String(index + 1)));
    }
    const rows = (await query.execute()) as readonly Readonly<Record<string, string | number | null>>[];
    return rows.map((row) => usageRow(row, groupBy));
  }

  /** Every row of the time, oldest first, a page at a time: memory stays flat. */
  async *export(query: UsageScope): AsyncGenerator<ExportedAttempt> {
    let after: { readonly atMs: number; readonly attemptId: string } | null = null;
    for (;;) {
      const page: readonly ExportedAttempt[] = await this.#page(query, after);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return;
      after = { atMs: last.started_at_ms, attemptId: last.attempt_id };
    }
  }

  #page(
    { organisationId, projectIds, fromMs, toMs }: UsageScope,
    after: { readonly atMs: number; readonly attemptId: string } | null,
  ): Promise<readonly ExportedAttempt[]> {
    let query = this.#db
      .selectFrom('ledger_attempt')
      .select(EXPORT_COLUMNS)
      .where('organisation_id', '=', organisationId)
      .where('started_at_ms', '>=', after?.atMs ?? fromMs)
      .where('started_at_ms', '<', toMs)
      .orderBy('started_at_ms')
      .orderBy('attempt_id')
      .limit(PAGE);
    if (projectIds !== null) query = query.where((eb) => inProjects(eb, projectIds));
    if (after !== null) {
      const { atMs, attemptId } = after;
      query = query.where(({ eb, or }) => or([eb('started_at_ms', '>', atMs), eb('attempt_id', '>', attemptId)]));
    }
    return query.execute();
  }
}

function usageRow(row: Readonly<Record<string, string | number | null>>, groupBy: readonly UsageGroup[]): UsageRow {
  const group = Object.fromEntries(groupBy.map((name) => [name, row[`by_${name}`] ?? null]));
  const sums = Object.fromEntries(Object.keys(SUMS).map((name) => [name, Number(row[name])]));
  return { ...(sums as unknown as UsageSums), group };
}

/** None of them: no row. */
function inProjects(eb: ExpressionBuilder<Tables, 'ledger_attempt'>, projectIds: readonly string[]) {
  return projectIds.length === 0 ? sql<boolean>`1 = 0` : eb('project_id', 'in', projectIds);
}
