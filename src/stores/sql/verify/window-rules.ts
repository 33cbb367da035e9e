import type { LedgerInvariant } from '../../../core/ledger-check.ts';
import { type FoundRow, windowText } from './rule.ts';

/**
 * Each window beside the sum of its parts. Both in one pass over both tables: a part whose window is gone is found, too.
 * `allowance`: what may be above a limit, calls that cost more than was thought and those that were not asked to keep to it.
 */
const WINDOWS_AND_PARTS = `select organisation_id, budget_id, window_start_ms, sum(windows) as windows,
    cast(sum(said_reserved) as bigint) as said_reserved, cast(sum(said_settled) as bigint) as said_settled,
    cast(sum(reserved) as bigint) as reserved, cast(sum(settled) as bigint) as settled,
    cast(sum(allowance) as bigint) as allowance
  from (
    select organisation_id, budget_id, window_start_ms, 1 as windows, reserved as said_reserved,
      settled as said_settled, 0 as reserved, 0 as settled, 0 as allowance from budget_window
    union all
    select organisation_id, budget_id, window_start_ms, 0, 0, 0, case when settled is null then reserved else 0 end,
      coalesce(settled, 0), case when enforced = 0 then coalesce(settled, reserved)
        when settled > reserved then settled - reserved else 0 end
    from budget_part) as every
  group by organisation_id, budget_id, window_start_ms`;

/** One query for both, since all parts are read for it: the columns say which of them is broken. */
export const WINDOW_QUERY = `select s.organisation_id, s.budget_id, s.window_start_ms, s.said_reserved, s.said_settled,
    s.reserved, s.settled, s.allowance, b.limit_amount,
    case when s.windows = 0 then 1 else 0 end as is_missing,
    case when s.windows = 0 or s.said_reserved <> s.reserved or s.said_settled <> s.settled then 1 else 0 end as is_wrong,
    case when b.hard = 1 and (b.lowered_at_ms is null or b.lowered_at_ms < s.window_start_ms)
      and s.said_settled + s.said_reserved > b.limit_amount + s.allowance then 1 else 0 end as is_over
  from (${WINDOWS_AND_PARTS}) as s
  left join budget as b on b.organisation_id = s.organisation_id and b.budget_id = s.budget_id`;

/** What WINDOW_QUERY shows, by the column that says so. */
export const WINDOW_RULES: readonly {
  readonly rule: LedgerInvariant;
  readonly flag: 'is_wrong' | 'is_over';
  message(row: FoundRow): string;
}[] = [
  {
    rule: 'I1',
    flag: 'is_over',
    message: (row) =>
      `settled ${row['said_settled']} and reserved ${row['said_reserved']} are above the limit ${row['limit_amount']}; ` +
      `${row['allowance']} may be, for calls that cost more than was thought or were not held to it`,
  },
  {
    rule: 'I2',
    flag: 'is_wrong',
    message: (row) => {
      const calls = `its calls say reserved ${row['reserved']}, settled ${row['settled']}`;
      if (row['is_missing'] === 1) return `the window is not on record; ${calls}`;
      return `it says reserved ${row['said_reserved']}, settled ${row['said_settled']}; ${calls}`;
    },
  },
];

export const windowSubject = (row: FoundRow): string =>
  `budget ${row['budget_id']}, window from ${windowText(row['window_start_ms'])}`;
