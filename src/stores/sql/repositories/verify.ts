import { type Kysely, sql } from 'kysely';
import type { Tables } from '../tables.ts';

/** Something in the books that cannot be. */
export interface LedgerFinding {
  /** Of the rules I1 to I8. */
  readonly rule: 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7';
  readonly organisationId: string;
  /** What it is about: `attempt a1`, `budget b1, window 2026-11-01`. */
  readonly subject: string;
  readonly message: string;
}

interface Rule {
  readonly rule: LedgerFinding['rule'];
  /** Columns: organisation_id, subject, message. */
  readonly query: string;
}

/** A finding of each rule more than this is one line: a broken rule breaks everywhere. */
const MOST_EACH = 1_000;

const SUBJECT = "'budget ' || w.budget_id || ', window ' || cast(w.window_start_ms as text)";

/**
 * What the books can tell by themselves, as one query each. Not seen from here: whether servers counted the same (I5),
 * and answers without an attempt (I6). That nothing is on record twice (I8) the primary keys see to.
 */
const RULES: readonly Rule[] = [
  {
    // Above the limit may be: calls that cost more than was thought, those that were never asked to keep to it, and
    // all that was spent before the limit went down.
    rule: 'I1',
    query: `select w.organisation_id, ${SUBJECT} as subject,
        'settled ' || cast(w.settled as text) || ' + reserved ' || cast(w.reserved as text) || ' is above the limit '
        || cast(b.limit_amount as text) as message
      from budget_window as w join budget as b on b.organisation_id = w.organisation_id and b.budget_id = w.budget_id
      where b.hard = 1 and (b.lowered_at_ms is null or b.lowered_at_ms < w.window_start_ms)
        and w.settled + w.reserved > b.limit_amount + (
          select coalesce(sum(case when h.enforced = 0 then coalesce(h.settled, h.reserved)
            when h.settled > h.reserved then h.settled - h.reserved else 0 end), 0)
          from budget_hold as h where h.organisation_id = w.organisation_id and h.budget_id = w.budget_id
            and h.window_start_ms = w.window_start_ms)`,
  },
  {
    rule: 'I2',
    query: `select w.organisation_id, ${SUBJECT} as subject,
        'it says reserved ' || cast(w.reserved as text) || ', settled ' || cast(w.settled as text)
        || '; its attempts say ' || cast(coalesce(s.reserved, 0) as text) || ', ' || cast(coalesce(s.settled, 0) as text) as message
      from budget_window as w left join (
        select organisation_id, budget_id, window_start_ms,
          sum(case when settled is null then reserved else 0 end) as reserved, sum(coalesce(settled, 0)) as settled
        from budget_hold group by organisation_id, budget_id, window_start_ms) as s
        on s.organisation_id = w.organisation_id and s.budget_id = w.budget_id and s.window_start_ms = w.window_start_ms
      where w.reserved <> coalesce(s.reserved, 0) or w.settled <> coalesce(s.settled, 0)`,
  },
  {
    rule: 'I2',
    query: `select h.organisation_id, 'attempt ' || h.attempt_id as subject,
        'budget ' || h.budget_id || ' counts ' || cast(h.settled as text) || ', the attempt cost '
        || cast(a.cost_nano_usd as text) as message
      from budget_hold as h
      join budget as b on b.organisation_id = h.organisation_id and b.budget_id = h.budget_id
      join ledger_attempt as a on a.organisation_id = h.organisation_id and a.attempt_id = h.attempt_id
      where b.unit = 'usd' and a.state = 'settled' and a.cost_nano_usd is not null and h.settled <> a.cost_nano_usd`,
  },
  {
    rule: 'I3',
    query: `select h.organisation_id, 'attempt ' || h.attempt_id as subject,
        'it is ' || a.state || ', its part in budget ' || h.budget_id || ' is '
        || case when h.settled is null then 'open' else 'settled' end as message
      from budget_hold as h join ledger_attempt as a on a.organisation_id = h.organisation_id and a.attempt_id = h.attempt_id
      where (a.state = 'reserved') <> (h.settled is null)`,
  },
  {
    rule: 'I4',
    query: `select a.organisation_id, 'attempt ' || a.attempt_id as subject,
        'it is open, and its process ' || a.owner_id || ' is done' as message
      from ledger_attempt as a left join ledger_owner as o on o.owner_id = a.owner_id
      where a.state = 'reserved' and coalesce(o.alive, 0) = 0`,
  },
  {
    rule: 'I5',
    query: `select organisation_id, 'attempt ' || attempt_id as subject,
        'a part of its tokens is more than the whole, or an amount is below 0' as message
      from ledger_attempt where state <> 'reserved' and (cached_input_tokens > input_tokens
        or reasoning_tokens > output_tokens or input_tokens < 0 or output_tokens < 0 or cost_nano_usd < 0)`,
  },
  {
    rule: 'I6',
    query: `select a.organisation_id, 'attempt ' || a.attempt_id as subject,
        'there is no project ' || a.project_id || ' in its organisation' as message
      from ledger_attempt as a
      left join project as p on p.organisation_id = a.organisation_id and p.project_id = a.project_id
      where p.project_id is null`,
  },
  {
    rule: 'I6',
    query: `select h.organisation_id, 'attempt ' || h.attempt_id as subject,
        'budget ' || h.budget_id || ' counts it, and it is not on record' as message
      from budget_hold as h
      left join ledger_attempt as a on a.organisation_id = h.organisation_id and a.attempt_id = h.attempt_id
      where a.attempt_id is null`,
  },
  {
    rule: 'I7',
    query: `select h.organisation_id, 'attempt ' || h.attempt_id as subject,
        'budget ' || h.budget_id || ' of ' || b.scope || ' ' || b.scope_id || ' counts it, and it is not of that' as message
      from budget_hold as h
      join budget as b on b.organisation_id = h.organisation_id and b.budget_id = h.budget_id
      join ledger_attempt as a on a.organisation_id = h.organisation_id and a.attempt_id = h.attempt_id
      where b.scope_id <> case b.scope when 'organisation' then a.organisation_id when 'project' then a.project_id
        when 'key' then coalesce(a.key_id, '') else a.model end`,
  },
];

/** What is wrong in the books; empty: nothing. Reads only. */
export async function verifyLedger(db: Kysely<Tables>): Promise<readonly LedgerFinding[]> {
  const findings: LedgerFinding[] = [];
  for (const { rule, query } of RULES) {
    const text = `select * from (${query}) as found order by subject limit ${MOST_EACH}`;
    // As a builder's query: raw ones go to the connection that writes.
    const rows = await db
      .selectFrom(sql<{ organisation_id: string; subject: string; message: string }>`(${sql.raw(text)})`.as('finding'))
      .selectAll()
      .execute();
    findings.push(
      ...rows.map((row) => ({ rule, organisationId: row.organisation_id, subject: row.subject, message: row.message })),
    );
  }
  return findings;
}
