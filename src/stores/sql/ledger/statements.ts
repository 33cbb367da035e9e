import { plain, type Statement, statement } from './script.ts';

const ATTEMPT = { organisation_id: 'text', attempt_id: 'text' } as const;
const WINDOW = { organisation_id: 'text', budget_id: 'text', window_start_ms: 'bigint' } as const;

export const BEAT = statement(
  { owner_id: 'text' },
  ({ col, from }) => `update ledger_owner set beat = beat + 1 ${from}
    where ledger_owner.owner_id = ${col('owner_id')} and ledger_owner.alive = 1`,
);

export const REGISTER_OWNER = statement(
  { owner_id: 'text' },
  ({ values }) => `insert into ledger_owner (owner_id, beat, alive) ${values('0', '1')} on conflict do nothing`,
);

export const DECLARE_DEAD = statement(
  { owner_id: 'text' },
  ({ col, from }) => `update ledger_owner set alive = 0 ${from} where ledger_owner.owner_id = ${col('owner_id')}`,
);

export const ANY_BUDGET = plain('select 1 as found from budget limit 1');

/** The budgets in force of a key, a project, an organisation or a model. Not in order: SQLite would read all there are for it. */
export const BUDGETS_OF: Statement = {
  ...statement(
    { organisation_id: 'text', scope: 'text', scope_id: 'text' },
    ({ col, with: beside }) => `select b.organisation_id, b.budget_id, b.scope, b.scope_id, b.budget_window, b.unit,
      b.limit_amount, b.hard
    from ${beside('budget as b')} where b.organisation_id = ${col('organisation_id')} and b.scope = ${col('scope')}
      and b.scope_id = ${col('scope_id')} and b.retired_at_ms is null`,
  ),
  isSettings: true,
};

/** Always in the same order, and attempts before windows: processes that share rows wait for each other, never in a circle. */
export const LOCK_ATTEMPTS = statement(
  ATTEMPT,
  ({
    col,
    with: beside,
    forUpdate,
  }) => `select a.organisation_id, a.attempt_id, a.state, a.reserved_nano_usd, a.reserved_tokens,
      cast(a.budget_parts as text) as budget_parts
    from ${beside('ledger_attempt as a')}
    where a.organisation_id = ${col('organisation_id')} and a.attempt_id = ${col('attempt_id')}
    order by a.organisation_id, a.attempt_id ${forUpdate('a')}`,
);

export const OPEN_WINDOWS = statement(
  WINDOW,
  ({ values }) => `insert into budget_window (organisation_id, budget_id, window_start_ms, reserved, settled)
    ${values('0', '0')} on conflict do nothing`,
);

export const LOCK_WINDOWS = statement(
  WINDOW,
  ({ col, with: beside, forUpdate }) => `select w.organisation_id, w.budget_id, w.window_start_ms, w.reserved, w.settled
    from ${beside('budget_window as w')} where w.organisation_id = ${col('organisation_id')}
      and w.budget_id = ${col('budget_id')} and w.window_start_ms = ${col('window_start_ms')}
    order by w.organisation_id, w.budget_id, w.window_start_ms ${forUpdate('w')}`,
);

/** Of windows that are there and locked. */
export const CHANGE_WINDOWS = statement(
  { ...WINDOW, reserved: 'bigint', settled: 'bigint' },
  ({ col, from }) => `update budget_window set reserved = budget_window.reserved + ${col('reserved')},
      settled = budget_window.settled + ${col('settled')} ${from}
    where budget_window.organisation_id = ${col('organisation_id')} and budget_window.budget_id = ${col('budget_id')}
      and budget_window.window_start_ms = ${col('window_start_ms')}`,
);

/** Nothing is taken away from them: they need not be there, nor be looked at. In order, as they are locked one by one. */
export const ADD_TO_WINDOWS = statement(
  { ...WINDOW, reserved: 'bigint', settled: 'bigint' },
  ({
    values,
    inOrder,
  }) => `insert into budget_window (organisation_id, budget_id, window_start_ms, reserved, settled) ${values()}
    ${inOrder(Object.keys(WINDOW))} on conflict (organisation_id, budget_id, window_start_ms) do update
      set reserved = budget_window.reserved + excluded.reserved, settled = budget_window.settled + excluded.settled`,
);

const START_COLUMNS = {
  ...ATTEMPT,
  request_id: 'text',
  attempt: 'bigint',
  project_id: 'text',
  key_id: 'text',
  target_id: 'text',
  adapter_kind: 'text',
  place: 'text',
  model: 'text',
  operation: 'text',
  stream: 'bigint',
  started_at_ms: 'bigint',
  reserved_nano_usd: 'bigint',
  reserved_tokens: 'bigint',
  owner_id: 'text',
  budget_parts: 'jsonb',
} as const;

export const START_ATTEMPTS = statement(
  START_COLUMNS,
  ({ values }) => `insert into ledger_attempt (${Object.keys(START_COLUMNS).join(', ')}, state) ${values("'reserved'")}
    on conflict do nothing`,
);

const END_COLUMNS = {
  state: 'text',
  ended_at_ms: 'bigint',
  status: 'bigint',
  failure: 'text',
  client_outcome: 'text',
  input_tokens: 'bigint',
  cached_input_tokens: 'bigint',
  output_tokens: 'bigint',
  reasoning_tokens: 'bigint',
  image_tokens: 'bigint',
  audio_input_tokens: 'bigint',
  audio_output_tokens: 'bigint',
  cost_source: 'text',
  saved_nano_usd: 'bigint',
  estimated: 'bigint',
} as const;

/** Only what is still open ends, and an unknown one costs what was set aside for it at most. */
export const END_ATTEMPTS = statement(
  { ...ATTEMPT, ...END_COLUMNS, cost_nano_usd: 'bigint' },
  ({ col, from }) => `update ledger_attempt set ${Object.keys(END_COLUMNS)
    .map((name) => `${name} = ${col(name)}`)
    .join(', ')}, cost_nano_usd = case
      when ${col('state')} = 'unknown' and reserved_nano_usd > 0
        and (${col('cost_nano_usd')} is null or ${col('cost_nano_usd')} > reserved_nano_usd) then reserved_nano_usd
      else ${col('cost_nano_usd')} end
    ${from}
    where ledger_attempt.organisation_id = ${col('organisation_id')} and ledger_attempt.attempt_id = ${col('attempt_id')}
      and ledger_attempt.state = 'reserved'`,
);

/** Those that began and ended in one batch: one row, written once. */
export const WHOLE_ATTEMPTS = statement(
  { ...START_COLUMNS, ...END_COLUMNS, cost_nano_usd: 'bigint' },
  ({ values }) =>
    `insert into ledger_attempt (${[...Object.keys({ ...START_COLUMNS, ...END_COLUMNS }), 'cost_nano_usd'].join(
      ', ',
    )}) ${values()} on conflict do nothing`,
);

/** A thousand at a time: the lock is short, and others get in between. */
export const ORPHANS_AT_ONCE = 1_000;
export const ORPHANS_OF = statement(
  { owner_id: 'text' },
  ({ col, with: beside }) => `select a.organisation_id, a.attempt_id from ${beside('ledger_attempt as a')}
    where a.owner_id = ${col('owner_id')} and a.state = 'reserved'
    order by a.organisation_id, a.attempt_id limit ${ORPHANS_AT_ONCE}`,
);
