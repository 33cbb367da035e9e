import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import type { DialectName } from '../dialect-name.ts';
import { freezeEndedAttempts } from './frozen-rows.ts';

/** Tenants, their keys and budgets, and the ledger. `bigint` is a 64-bit integer in both databases. */
export function tenantsAndLedger(dialect: DialectName) {
  // Without it SQLite would keep each row twice: in the table, and its key in an index.
  const clustered = <T extends string, C extends string>(table: CreateTableBuilder<T, C>): CreateTableBuilder<T, C> =>
    dialect === 'sqlite' ? table.modifyEnd(sql`without rowid`) : table;
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await createTenants(db, clustered);
      await createBudgets(db, clustered);
      await createLedger(db);
      for (const statement of freezeEndedAttempts(dialect)) await sql.raw(statement).execute(db);
      await insertDefaults(db);
    },
  };
}

type Clustered = <T extends string, C extends string>(table: CreateTableBuilder<T, C>) => CreateTableBuilder<T, C>;

async function createTenants(db: Kysely<unknown>, clustered: Clustered): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('meta')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute();
  await clustered(
    schema
      .createTable('organisation')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('organisation_key', ['organisation_id']),
  ).execute();
  await clustered(
    schema
      .createTable('project')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('project_id', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('project_key', ['organisation_id', 'project_id'])
      .addForeignKeyConstraint('project_in_organisation', ['organisation_id'], 'organisation', ['organisation_id']),
  ).execute();
  await clustered(
    schema
      .createTable('client_key')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('key_id', 'text', (column) => column.notNull())
      .addColumn('project_id', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('owner', 'text')
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addColumn('expires_at_ms', 'bigint')
      .addColumn('revoked_at_ms', 'bigint')
      .addColumn('policies', 'text', (column) => column.notNull())
      .addColumn('revision', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('client_key_key', ['organisation_id', 'key_id'])
      .addForeignKeyConstraint('client_key_in_project', ['organisation_id', 'project_id'], 'project', [
        'organisation_id',
        'project_id',
      ]),
  ).execute();
  await clustered(
    schema
      .createTable('client_key_version')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('key_id', 'text', (column) => column.notNull())
      .addColumn('version', 'integer', (column) => column.notNull())
      .addColumn('prefix', 'text', (column) => column.notNull())
      .addColumn('key_hash', 'text', (column) => column.notNull().unique())
      .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
      .addColumn('expires_at_ms', 'bigint')
      .addPrimaryKeyConstraint('client_key_version_key', ['organisation_id', 'key_id', 'version'])
      .addForeignKeyConstraint('version_of_client_key', ['organisation_id', 'key_id'], 'client_key', [
        'organisation_id',
        'key_id',
      ]),
  ).execute();
  await clustered(
    schema
      .createTable('price')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('provider', 'text', (column) => column.notNull())
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('rates', 'text', (column) => column.notNull())
      .addColumn('updated_at_ms', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('price_key', ['organisation_id', 'provider', 'model']),
  ).execute();
}

async function createBudgets(db: Kysely<unknown>, clustered: Clustered): Promise<void> {
  const { schema } = db;
  // Not clustered: SQLite would rather read all budgets of a tenant than look into the index by scope.
  await schema
    .createTable('budget')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('budget_id', 'text', (column) => column.notNull())
    .addColumn('scope', 'text', (column) => column.notNull())
    .addColumn('scope_id', 'text', (column) => column.notNull())
    .addColumn('budget_window', 'text', (column) => column.notNull())
    .addColumn('unit', 'text', (column) => column.notNull())
    .addColumn('limit_amount', 'bigint', (column) => column.notNull())
    .addColumn('hard', 'integer', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('lowered_at_ms', 'bigint')
    .addColumn('retired_at_ms', 'bigint')
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('budget_key', ['organisation_id', 'budget_id'])
    .addForeignKeyConstraint('budget_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
    .addCheckConstraint('budget_limit', sql`limit_amount >= 0`)
    .execute();
  await schema.createIndex('budget_by_scope').on('budget').columns(['organisation_id', 'scope', 'scope_id']).execute();
  await clustered(
    schema
      .createTable('budget_window')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('budget_id', 'text', (column) => column.notNull())
      .addColumn('window_start_ms', 'bigint', (column) => column.notNull())
      .addColumn('reserved', 'bigint', (column) => column.notNull())
      .addColumn('settled', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('budget_window_key', ['organisation_id', 'budget_id', 'window_start_ms'])
      .addCheckConstraint('budget_window_amounts', sql`reserved >= 0 and settled >= 0`),
  ).execute();
  await clustered(
    schema
      .createTable('budget_hold')
      .addColumn('organisation_id', 'text', (column) => column.notNull())
      .addColumn('attempt_id', 'text', (column) => column.notNull())
      .addColumn('budget_id', 'text', (column) => column.notNull())
      .addColumn('unit', 'text', (column) => column.notNull())
      .addColumn('window_start_ms', 'bigint', (column) => column.notNull())
      .addColumn('reserved', 'bigint', (column) => column.notNull())
      .addColumn('settled', 'bigint')
      .addColumn('enforced', 'integer', (column) => column.notNull())
      .addPrimaryKeyConstraint('budget_hold_key', ['organisation_id', 'attempt_id', 'budget_id']),
  ).execute();
}

async function createLedger(db: Kysely<unknown>): Promise<void> {
  const { schema } = db;
  await schema
    .createTable('ledger_owner')
    .addColumn('owner_id', 'text', (column) => column.primaryKey())
    .addColumn('beat', 'bigint', (column) => column.notNull())
    .addColumn('alive', 'integer', (column) => column.notNull())
    .execute();
  // Not clustered: a row is written twice, and a row that is its own key is moved each time.
  await schema
    .createTable('ledger_attempt')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('attempt_id', 'text', (column) => column.notNull())
    .addColumn('request_id', 'text', (column) => column.notNull())
    .addColumn('attempt', 'integer', (column) => column.notNull())
    .addColumn('project_id', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text')
    .addColumn('target_id', 'text', (column) => column.notNull())
    .addColumn('adapter_kind', 'text', (column) => column.notNull())
    .addColumn('place', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('operation', 'text', (column) => column.notNull())
    .addColumn('stream', 'integer', (column) => column.notNull())
    .addColumn('started_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('reserved_nano_usd', 'bigint', (column) => column.notNull())
    .addColumn('reserved_tokens', 'bigint', (column) => column.notNull())
    .addColumn('owner_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('ended_at_ms', 'bigint')
    .addColumn('status', 'integer')
    .addColumn('failure', 'text')
    .addColumn('client_outcome', 'text')
    .addColumn('input_tokens', 'bigint')
    .addColumn('cached_input_tokens', 'bigint')
    .addColumn('output_tokens', 'bigint')
    .addColumn('reasoning_tokens', 'bigint')
    .addColumn('image_tokens', 'bigint')
    .addColumn('audio_input_tokens', 'bigint')
    .addColumn('audio_output_tokens', 'bigint')
    .addColumn('cost_nano_usd', 'bigint')
    .addColumn('cost_source', 'text')
    .addColumn('saved_nano_usd', 'bigint')
    .addColumn('estimated', 'integer')
    .addPrimaryKeyConstraint('ledger_attempt_key', ['organisation_id', 'attempt_id'])
    .addCheckConstraint('ledger_attempt_state', sql`state in ('reserved', 'settled', 'voided', 'unknown')`)
    .addCheckConstraint('ledger_attempt_end', sql`(state = 'reserved') = (ended_at_ms is null)`)
    .execute();
  // Of the open ones only: a million rows that have ended cost nothing.
  await schema
    .createIndex('ledger_attempt_open')
    .on('ledger_attempt')
    .column('owner_id')
    .where(sql.ref('state'), '=', sql.lit('reserved'))
    .execute();
  await schema
    .createIndex('ledger_attempt_by_time')
    .on('ledger_attempt')
    .columns(['organisation_id', 'started_at_ms'])
    .execute();
}

async function insertDefaults(db: Kysely<unknown>): Promise<void> {
  await sql`insert into organisation (organisation_id, name, created_at_ms) values ('default', 'Default', 0)`.execute(
    db,
  );
  await sql`insert into project (organisation_id, project_id, name, created_at_ms) values ('default', 'default', 'Default', 0)`.execute(
    db,
  );
}
