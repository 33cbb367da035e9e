import { type Kysely, sql } from 'kysely';

/** People and machines of the admin API, their sessions, and limits that several keys share. */
export function peopleAndLimits() {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await createPeople(db);
      await createTokens(db);
      await createSessions(db);
      await createLimits(db);
      for (const table of ['organisation', 'project']) {
        await db.schema
          .alterTable(table)
          .addColumn('revision', 'bigint', (column) => column.notNull().defaultTo(1))
          .execute();
      }
    },
  };
}

async function createPeople({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    // Not `user`, which PostgreSQL keeps for itself.
    .createTable('person')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    // In lower case: what must be unique, so that whoever logs in need not say of which organisation.
    .addColumn('login', 'text', (column) => column.notNull().unique())
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('grants', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('disabled_at_ms', 'bigint')
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('person_key', ['organisation_id', 'user_id'])
    .addForeignKeyConstraint('person_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
    .execute();
}

async function createTokens({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('service_token')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('token_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('prefix', 'text', (column) => column.notNull())
    .addColumn('last_four', 'text', (column) => column.notNull())
    .addColumn('token_hash', 'text', (column) => column.notNull().unique())
    .addColumn('grants', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('expires_at_ms', 'bigint')
    .addColumn('revoked_at_ms', 'bigint')
    .addPrimaryKeyConstraint('service_token_key', ['organisation_id', 'token_id'])
    .addForeignKeyConstraint('token_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
    .execute();
}

async function createSessions({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('admin_session')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('session_hash', 'text', (column) => column.notNull().unique())
    .addColumn('user_id', 'text', (column) => column.notNull())
    .addColumn('created_at_ms', 'bigint', (column) => column.notNull())
    .addColumn('seen_at_ms', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('admin_session_key', ['organisation_id', 'session_hash'])
    .addForeignKeyConstraint('session_of_person', ['organisation_id', 'user_id'], 'person', [
      'organisation_id',
      'user_id',
    ])
    .execute();
}

async function createLimits({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('shared_limit')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('scope', 'text', (column) => column.notNull())
    .addColumn('scope_id', 'text', (column) => column.notNull())
    .addColumn('rpm', 'bigint')
    .addColumn('tpm', 'bigint')
    .addColumn('concurrent', 'bigint')
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('shared_limit_key', ['organisation_id', 'scope', 'scope_id'])
    .addForeignKeyConstraint('limit_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
    .addCheckConstraint('shared_limit_scope', sql`scope in ('organisation', 'project', 'model')`)
    .execute();
}
