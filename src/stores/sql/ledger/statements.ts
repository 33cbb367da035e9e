import { plain, statement } from './script.ts';

const ATTEMPT = { organisation_id: 'text', attempt_id: 'text' } as const;
const WINDOW = { organisation_id: 'text', budget_id: 'text', window_start_ms: 'bigint' } as const;

export const BEAT = statement(
  { owner_id: 'text' },
  (input) => `update ledger_owner set beat = beat + 1 from ${input}
    where ledger_owner.owner_id = input.owner_id and ledger_owner.alive = 1 returning ledger_owner.owner_id as owner_id`,
);

export const REGISTER_OWNER = statement(
  { owner_id: 'text' },
  (input) => `insert into ledger_owner (owner_id, beat, alive) select owner_id, 0, 1 from ${input} where true
    on conflict do nothing returning owner_id`,
);

export const DECLARE_DEAD = statement(
  { owner_id: 'text' },
  (input) => `update ledger_owner set alive = 0 from ${input} where ledger_owner.owner_id = input.owner_id`,
);

export const ANY_BUDGET = plain('select 1 as found from budget limit 1');

/** The budgets of each attempt that starts: of its key, project, organisation and model. */
export const BUDGETS_OF = statement(
  { ...ATTEMPT, project_id: 'text', key_id: 'text', model: 'text' },
  (input) => `select input.organisation_id, input.attempt_id, b.budget_id, b.scope, b.scope_id, b.budget_window, b.unit,
      b.limit_amount, b.hard
    from ${input} join budget as b on b.organisation_id = input.organisation_id and b.retired_at_ms is null and (
      (b.scope = 'organisation' and b.scope_id = input.organisation_id)
      or (b.scope = 'project' and b.scope_id = input.project_id)
      or (b.scope = 'key' and b.scope_id = input.key_id)
      or (b.scope = 'model' and b.scope_id = input.model))
    order by b.budget_id`,
);

/** Always in the same order, and attempts before windows: processes that share rows wait for each other, never in a circle. */
export const LOCK_ATTEMPTS = statement(
  ATTEMPT,
  (input, forUpdate) => `select a.organisation_id, a.attempt_id, a.state
    from ${input} join ledger_attempt as a on a.organisation_id = input.organisation_id and a.attempt_id = input.attempt_id
    order by a.organisation_id, a.attempt_id ${forUpdate('a')}`,
);

export const STATE_OF = statement(
  ATTEMPT,
  (input) => `select a.organisation_id, a.attempt_id, a.state
    from ${input} join ledger_attempt as a on a.organisation_id = input.organisation_id and a.attempt_id = input.attempt_id`,
);

export const HOLDS_OF = statement(
  ATTEMPT,
  (input) => `select h.organisation_id, h.attempt_id, h.budget_id, h.window_start_ms, h.reserved, h.enforced, b.unit
    from ${input} join budget_hold as h on h.organisation_id = input.organisation_id and h.attempt_id = input.attempt_id
    join budget as b on b.organisation_id = h.organisation_id and b.budget_id = h.budget_id
    where h.settled is null order by h.budget_id`,
);

export const OPEN_WINDOWS = statement(
  WINDOW,
  (input) => `insert into budget_window (organisation_id, budget_id, window_start_ms, reserved, settled)
    select organisation_id, budget_id, window_start_ms, 0, 0 from ${input} where true on conflict do nothing`,
);

export const LOCK_WINDOWS = statement(
  WINDOW,
  (input, forUpdate) => `select w.organisation_id, w.budget_id, w.window_start_ms, w.reserved, w.settled
    from ${input} join budget_window as w on w.organisation_id = input.organisation_id
      and w.budget_id = input.budget_id and w.window_start_ms = input.window_start_ms
    order by w.organisation_id, w.budget_id, w.window_start_ms ${forUpdate('w')}`,
);

export const WRITE_WINDOWS = statement(
  { ...WINDOW, reserved: 'bigint', settled: 'bigint' },
  (input) => `update budget_window set reserved = input.reserved, settled = input.settled from ${input}
    where budget_window.organisation_id = input.organisation_id and budget_window.budget_id = input.budget_id
      and budget_window.window_start_ms = input.window_start_ms`,
);

export const OPEN_HOLDS = statement(
  { ...ATTEMPT, budget_id: 'text', window_start_ms: 'bigint', reserved: 'bigint', enforced: 'bigint' },
  (input) => `insert into budget_hold (organisation_id, attempt_id, budget_id, window_start_ms, reserved, enforced)
    select organisation_id, attempt_id, budget_id, window_start_ms, reserved, enforced from ${input} where true`,
);

export const CLOSE_HOLDS = statement(
  { ...ATTEMPT, budget_id: 'text', settled: 'bigint' },
  (input) => `update budget_hold set settled = input.settled from ${input}
    where budget_hold.organisation_id = input.organisation_id and budget_hold.attempt_id = input.attempt_id
      and budget_hold.budget_id = input.budget_id`,
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
} as const;
const STARTED = Object.keys(START_COLUMNS).join(', ');

export const START_ATTEMPTS = statement(
  START_COLUMNS,
  (input) => `insert into ledger_attempt (${STARTED}, state) select ${STARTED}, 'reserved' from ${input} where true
    on conflict do nothing returning organisation_id, attempt_id`,
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
  (input) => `update ledger_attempt set ${Object.keys(END_COLUMNS)
    .map((name) => `${name} = input.${name}`)
    .join(', ')}, cost_nano_usd = case
      when input.state = 'unknown' and reserved_nano_usd > 0
        and (input.cost_nano_usd is null or input.cost_nano_usd > reserved_nano_usd) then reserved_nano_usd
      else input.cost_nano_usd end
    from ${input}
    where ledger_attempt.organisation_id = input.organisation_id and ledger_attempt.attempt_id = input.attempt_id
      and ledger_attempt.state = 'reserved'
    returning ledger_attempt.organisation_id as organisation_id, ledger_attempt.attempt_id as attempt_id`,
);

/** A thousand at a time: the lock is short, and others get in between. */
export const ORPHANS_AT_ONCE = 1_000;
export const ORPHANS_OF = statement(
  { owner_id: 'text' },
  (
    input,
  ) => `select a.organisation_id, a.attempt_id from ${input} join ledger_attempt as a on a.owner_id = input.owner_id
    where a.state = 'reserved' order by a.organisation_id, a.attempt_id limit ${ORPHANS_AT_ONCE}`,
);
