import { type Kysely, sql } from 'kysely';
import type { DialectName } from '../dialect-name.ts';
import { freezeEndedAttempts } from './frozen-rows.ts';

/**
 * A call's parts in budgets become a column of its row: what is set aside and spent in each of them are the call's own
 * amounts, and rows of their own cost three times as much as the call. `budget_part` shows them as rows.
 */
export function budgetParts(dialect: DialectName) {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      const run = (text: string) => sql.raw(text).execute(db);
      for (const text of dialect === 'sqlite' ? IN_SQLITE : IN_POSTGRES) await run(text);
      await run(`create view budget_part as ${dialect === 'sqlite' ? partsOf(SQLITE) : partsOf(POSTGRES)}`);
    },
  };
}

const MOVED = (list: string): string =>
  `update ledger_attempt set budget_parts = h.parts from (${list} group by organisation_id, attempt_id) as h
    where h.organisation_id = ledger_attempt.organisation_id and h.attempt_id = ledger_attempt.attempt_id`;
const ORDERED = '(select * from budget_hold order by organisation_id, attempt_id, budget_id) as ordered';

/** Rows that have ended never change, but for this once. */
const IN_SQLITE = [
  'alter table ledger_attempt add column budget_parts text check (budget_parts is null or json_valid(budget_parts))',
  'drop trigger ledger_attempt_frozen',
  MOVED(`select organisation_id, attempt_id, json_group_array(json_array(budget_id, unit, window_start_ms, enforced)) as parts
    from ${ORDERED}`),
  freezeEndedAttempts('sqlite')[0] as string,
  'drop table budget_hold',
];

const IN_POSTGRES = [
  'alter table ledger_attempt add column budget_parts jsonb',
  'alter table ledger_attempt disable trigger ledger_attempt_frozen',
  MOVED(`select organisation_id, attempt_id, jsonb_agg(jsonb_build_array(budget_id, unit, window_start_ms, enforced)) as parts
    from ${ORDERED}`),
  'alter table ledger_attempt enable trigger ledger_attempt_frozen',
  'drop table budget_hold',
];

interface List {
  readonly from: string;
  field(index: number): string;
  number(index: number): string;
}

const SQLITE: List = {
  from: 'json_each(a.budget_parts) as p',
  field: (index) => `json_extract(p.value, '$[${index}]')`,
  number: (index) => `json_extract(p.value, '$[${index}]')`,
};

const POSTGRES: List = {
  from: 'lateral jsonb_array_elements(a.budget_parts) as p(value)',
  field: (index) => `(p.value ->> ${index})`,
  number: (index) => `(p.value ->> ${index})::bigint`,
};

/** As decide.ts settles a part: what was seen, and where nobody can say, what was set aside. */
function partsOf({ from, field, number }: List): string {
  const tokens = 'a.input_tokens + a.output_tokens';
  const ofUsd = `case when a.state = 'voided' then 0 else coalesce(a.cost_nano_usd, a.reserved_nano_usd) end`;
  const ofTokens = `case when a.state = 'voided' then 0 when a.state = 'settled' then ${tokens}
    when ${tokens} = 0 or (a.reserved_tokens > 0 and ${tokens} > a.reserved_tokens) then a.reserved_tokens
    else ${tokens} end`;
  return `select a.organisation_id, a.attempt_id, ${field(0)} as budget_id, ${field(1)} as unit,
      ${number(2)} as window_start_ms, ${number(3)} as enforced,
      case ${field(1)} when 'usd' then a.reserved_nano_usd else a.reserved_tokens end as reserved,
      case when a.state = 'reserved' then null when ${field(1)} = 'usd' then ${ofUsd} else ${ofTokens} end as settled
    from ledger_attempt as a cross join ${from}`;
}
