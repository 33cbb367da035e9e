import type { Generated } from 'kysely';
import type { BudgetScope, BudgetUnit, BudgetWindow, SharedScope } from '../../core/budget.ts';
import type { ClientOutcome } from '../../core/ledger.ts';
import type { CostSource } from '../../core/price.ts';
import type { AttemptState } from './ledger/attempt-state.ts';

/**
 * The tables, the same for SQLite and PostgreSQL. The tenant is the first column of every primary key. Times: ms since
 * the Unix epoch. Money: integer nano-USD. Truth values: 0 and 1.
 */
export interface Tables {
  organisation: OrganisationTable;
  project: ProjectTable;
  client_key: ClientKeyTable;
  client_key_version: ClientKeyVersionTable;
  budget: BudgetTable;
  budget_window: BudgetWindowTable;
  budget_part: BudgetPartView;
  ledger_attempt: LedgerAttemptTable;
  ledger_owner: LedgerOwnerTable;
  price: PriceTable;
  audit_entry: AuditEntryTable;
  audit_end: AuditEndTable;
  audit_checkpoint: AuditCheckpointTable;
  person: PersonTable;
  service_token: ServiceTokenTable;
  admin_session: AdminSessionTable;
  spent_login: SpentLoginTable;
  shared_limit: SharedLimitTable;
  model_alias: ModelAliasTable;
  route: RouteTable;
  meta: MetaTable;
}

export interface OrganisationTable {
  organisation_id: string;
  name: string;
  created_at_ms: number;
  /** Goes up with every change of the row, for If-Match. */
  revision: Generated<number>;
}

export interface ProjectTable {
  organisation_id: string;
  project_id: string;
  name: string;
  created_at_ms: number;
  revision: Generated<number>;
}

export interface ClientKeyTable {
  organisation_id: string;
  key_id: string;
  project_id: string;
  name: string;
  owner: string | null;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
  /** JSON: what it may use, its limits, its metadata. */
  policies: string;
  /** Goes up with every change of the row, for If-Match. */
  revision: number;
}

/** The secrets of a key: two of them live while it is rotated. */
export interface ClientKeyVersionTable {
  organisation_id: string;
  key_id: string;
  version: number;
  /** Shown to people. */
  prefix: string;
  /** Keyed hash of the secret, hexadecimal; unique over all tenants. */
  key_hash: string;
  created_at_ms: number;
  expires_at_ms: number | null;
}

export interface BudgetTable {
  organisation_id: string;
  budget_id: string;
  scope: BudgetScope;
  scope_id: string;
  budget_window: BudgetWindow;
  unit: BudgetUnit;
  limit_amount: number;
  hard: number;
  created_at_ms: number;
  /** When the limit last went down: spending above it may be older. */
  lowered_at_ms: number | null;
  /** Counts no more; kept, since the ledger refers to it. */
  retired_at_ms: number | null;
  revision: number;
}

/** What a budget counted in one window. A new window is a new row; only the ledger changes the amounts. */
export interface BudgetWindowTable {
  organisation_id: string;
  budget_id: string;
  window_start_ms: number;
  reserved: number;
  settled: number;
}

/** An attempt's part in a budget's window: a view of what its row says. */
export interface BudgetPartView {
  organisation_id: string;
  attempt_id: string;
  budget_id: string;
  /** Of the budget. */
  unit: BudgetUnit;
  window_start_ms: number;
  reserved: number;
  /** Null: the attempt runs. */
  settled: number | null;
  /** It was admitted only because the budget had room. */
  enforced: number;
}

export interface LedgerAttemptTable {
  organisation_id: string;
  attempt_id: string;
  request_id: string;
  attempt: number;
  project_id: string;
  key_id: string | null;
  target_id: string;
  adapter_kind: string;
  place: string;
  model: string;
  operation: string;
  stream: number;
  started_at_ms: number;
  reserved_nano_usd: number;
  reserved_tokens: number;
  owner_id: string;
  /** Its parts in budgets: see `parts.ts`. */
  budget_parts: string | null;
  state: AttemptState;
  ended_at_ms: number | null;
  status: number | null;
  failure: string | null;
  client_outcome: ClientOutcome | null;
  input_tokens: number | null;
  cached_input_tokens: number | null;
  output_tokens: number | null;
  reasoning_tokens: number | null;
  image_tokens: number | null;
  audio_input_tokens: number | null;
  audio_output_tokens: number | null;
  cost_nano_usd: number | null;
  cost_source: CostSource | null;
  saved_nano_usd: number | null;
  estimated: number | null;
}

export interface LedgerOwnerTable {
  owner_id: string;
  beat: number;
  alive: number;
}

/** What an operator says a model costs. `provider` empty: at every provider. */
export interface PriceTable {
  organisation_id: string;
  provider: string;
  model: string;
  /** The price as it was given, JSON. */
  rates: string;
  updated_at_ms: number;
  /** Goes up with every change of the row, for If-Match. */
  revision: number;
}

/** Never changed, never deleted; triggers see to it. */
export interface AuditEntryTable {
  organisation_id: string;
  /** From 1, without a gap. */
  sequence: number;
  at_ms: number;
  actor_kind: string;
  actor_id: string | null;
  peer_address: string | null;
  request_id: string | null;
  action: string;
  subject: string;
  /** JSON, its bytes as they were hashed. */
  before_json: string | null;
  after_json: string | null;
  outcome: string;
  previous_hash: string;
  /** SHA-256, hexadecimal, of all the others. */
  hash: string;
}

/** The last entry of each chain: who appends holds this row. */
export interface AuditEndTable {
  organisation_id: string;
  sequence: number;
  hash: string;
}

/** Never changed, never deleted. */
export interface AuditCheckpointTable {
  organisation_id: string;
  sequence: number;
  /** Which key signed it. */
  key_id: string;
  hash: string;
  at_ms: number;
  /** Base64. */
  signature: string;
}

export interface MetaTable {
  name: string;
  value: string;
}

/** People who log in. */
export interface PersonTable {
  organisation_id: string;
  user_id: string;
  name: string;
  /** The name in lower case, or for whoever comes from an identity provider what nobody can be called; unique in the whole store. */
  login: string;
  /** Empty: they have no password. */
  password_hash: string;
  /** Who they are at an identity provider, unique in the whole store. Null: they have a password. */
  issuer: string | null;
  subject: string | null;
  /** JSON: roles, and where they hold. */
  grants: string;
  created_at_ms: number;
  disabled_at_ms: number | null;
  revision: number;
}

/** Machines of the admin API. */
export interface ServiceTokenTable {
  organisation_id: string;
  token_id: string;
  name: string;
  prefix: string;
  last_four: string;
  token_hash: string;
  /** JSON: roles, and where they hold. */
  grants: string;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
}

/** Logins that go on. A row that is gone is one that ended. */
export interface AdminSessionTable {
  organisation_id: string;
  session_hash: string;
  user_id: string;
  created_at_ms: number;
  seen_at_ms: number;
}

/** Logins of an identity provider that came to their end: what each was begun with counts once. */
export interface SpentLoginTable {
  /** SHA-256, hexadecimal. */
  login_hash: string;
  at_ms: number;
}

/** Null: no limit. */
export interface SharedLimitTable {
  organisation_id: string;
  scope: SharedScope;
  scope_id: string;
  rpm: number | null;
  tpm: number | null;
  concurrent: number | null;
  revision: number;
}

/** Names that clients may ask for, set at run time. */
export interface ModelAliasTable {
  organisation_id: string;
  /** In lower case: names are told apart without it. */
  alias: string;
  written: string;
  target: string;
  revision: number;
  updated_at_ms: number;
}

/** Routes set at run time. */
export interface RouteTable {
  organisation_id: string;
  name: string;
  /** JSON: what it says of its own. */
  settings: string;
  revision: number;
  updated_at_ms: number;
}
