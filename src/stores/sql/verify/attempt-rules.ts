import { OVERCHARGED } from './overcharges.ts';
import type { FoundRow, Rule, RuleSet } from './rule.ts';
import { windowText } from './rule.ts';

const TOKENS = 'a.input_tokens + a.output_tokens';

const AMOUNTS = [
  ...['input_tokens', 'cached_input_tokens', 'output_tokens', 'reasoning_tokens', 'image_tokens'],
  ...['audio_input_tokens', 'audio_output_tokens', 'cost_nano_usd', 'saved_nano_usd'],
] as const;
const USED = ['input_tokens', 'output_tokens', 'cost_nano_usd', 'saved_nano_usd'] as const;

const columns = (names: readonly string[]): string => names.map((name) => `a.${name}`).join(', ');
const any = (names: readonly string[], condition: (column: string) => string): string =>
  names.map((name) => condition(`a.${name}`)).join(' or ');

/** Longer than any window but `total`, whose beginning is 0. */
const LONGEST_WINDOW_MS = 31 * 86_400_000;

/** Of calls that run: few, and found by an index of their own. */
export const OPEN_CALLS: RuleSet = {
  alias: 'a',
  from: 'ledger_attempt as a left join ledger_owner as o on o.owner_id = a.owner_id',
  rules: [
    {
      rule: 'I4',
      columns: 'a.owner_id',
      where: "a.state = 'reserved' and coalesce(o.alive, 0) = 0",
      message: (row) => `it is open, and its process ${row['owner_id']} is gone`,
    },
  ],
};

const ATTEMPT_RULES: readonly Rule[] = [
  {
    rule: 'I3',
    columns: columns(USED),
    where: `a.state = 'reserved' and (${any(USED, (column) => `${column} is not null`)})`,
    message: (row) => `it is open, and yet: ${amounts(row, USED)}`,
  },
  {
    rule: 'I5',
    columns: 'a.state',
    where: "a.state <> 'reserved' and (a.input_tokens is null or a.output_tokens is null)",
    message: (row) => `it is ${row['state']}, and its tokens are not on record`,
  },
  {
    rule: 'I5',
    columns: columns(AMOUNTS),
    where: any(AMOUNTS, (column) => `${column} < 0`),
    message: (row) =>
      `below 0: ${amounts(
        row,
        AMOUNTS.filter((name) => Number(row[name]) < 0),
      )}`,
  },
  {
    rule: 'I5',
    columns: columns(AMOUNTS),
    where: `a.cached_input_tokens > a.input_tokens or a.audio_input_tokens > a.input_tokens
      or a.reasoning_tokens > a.output_tokens or a.audio_output_tokens > a.output_tokens or a.image_tokens > ${TOKENS}`,
    message: (row) => `a part of its tokens is more than the whole: ${amounts(row, AMOUNTS)}`,
  },
  {
    rule: 'I5',
    columns: columns(USED),
    where: `a.state = 'voided' and (${any(USED, (column) => `coalesce(${column}, 0) <> 0`)})`,
    message: (row) => `nothing was used, and yet: ${amounts(row, USED)}`,
  },
  {
    rule: 'I6',
    columns: 'a.project_id',
    where: 'p.project_id is null',
    message: (row) => `there is no project ${row['project_id']} in its organisation`,
  },
  {
    rule: 'I6',
    columns: 'a.request_id, a.attempt',
    where: "a.request_id = '' or a.attempt < 1",
    message: (row) => `it is call ${row['attempt']} of request '${row['request_id']}', and there is no such call`,
  },
  {
    rule: 'I7',
    columns: 'a.key_id',
    where: `a.key_id is not null and k.key_id is null
      and exists (select 1 from client_key as other where other.key_id = a.key_id)`,
    message: (row) => `its key ${row['key_id']} is another organisation's`,
  },
];

const PART_RULES: readonly Rule[] = [
  {
    rule: 'I2',
    columns: 'h.budget_id, h.unit, b.unit as budget_unit',
    where: 'h.unit <> b.unit',
    message: (row) => `budget ${row['budget_id']} is in ${row['budget_unit']} and counts it in ${row['unit']}`,
  },
  {
    rule: 'I2',
    columns: 'h.budget_id, h.window_start_ms, a.started_at_ms',
    where: `h.window_start_ms <> 0 and (h.window_start_ms > a.started_at_ms
      or a.started_at_ms - h.window_start_ms >= ${LONGEST_WINDOW_MS})`,
    message: (row) =>
      `budget ${row['budget_id']} counts it in the window from ${windowText(row['window_start_ms'])}, ` +
      `it began at ${windowText(row['started_at_ms'])}`,
  },
  {
    rule: 'I7',
    columns: 'h.budget_id',
    where: 'b.budget_id is null',
    message: (row) => `budget ${row['budget_id']} counts it, and is none of its organisation`,
  },
  {
    rule: 'I7',
    columns: 'h.budget_id, b.scope, b.scope_id',
    where: `b.scope_id <> case b.scope when 'organisation' then a.organisation_id when 'project' then a.project_id
      when 'key' then coalesce(a.key_id, '') else a.model end`,
    message: (row) =>
      `budget ${row['budget_id']} of ${row['scope']} ${row['scope_id']} counts it, and it is not of that`,
  },
];

export const CALLS: RuleSet = {
  alias: 'a',
  from: `ledger_attempt as a
    left join project as p on p.organisation_id = a.organisation_id and p.project_id = a.project_id
    left join client_key as k on k.organisation_id = a.organisation_id and k.key_id = a.key_id`,
  rules: ATTEMPT_RULES,
};

/** The parts that calls have in budgets. */
export const PARTS: RuleSet = {
  alias: 'h',
  from: `budget_part as h
    join ledger_attempt as a on a.organisation_id = h.organisation_id and a.attempt_id = h.attempt_id
    left join budget as b on b.organisation_id = h.organisation_id and b.budget_id = h.budget_id`,
  noted: OVERCHARGED,
  rules: PART_RULES,
};

function amounts(row: FoundRow, names: readonly string[]): string {
  return names.map((name) => `${name} ${row[name] ?? 'unknown'}`).join(', ');
}
