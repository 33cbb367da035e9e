import { type Kysely, sql } from 'kysely';
import type { DialectName } from '../dialect-name.ts';
import { freezeAuditLog } from './frozen-audit.ts';

/** Who did what: a chain of entries for each organisation, its end, and signed checkpoints. */
export function auditLog(dialect: DialectName) {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await createEntries(db);
      await createEnds(db);
      await createCheckpoints(db);
      for (const statement of freezeAuditLog(dialect)) await sql.raw(statement).execute(db);
    },
  };
}

async function createEntries(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('audit_entry')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('actor_kind', 'text', (column) => column.notNull())
    .addColumn('actor_id', 'text')
    .addColumn('peer_address', 'text')
    .addColumn('request_id', 'text')
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('before_json', 'text')
    .addColumn('after_json', 'text')
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('previous_hash', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_entry_key', ['organisation_id', 'sequence'])
    .addCheckConstraint('audit_entry_outcome', sql`outcome in ('allowed', 'refused')`)
    .execute();
}

async function createEnds(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('audit_end')
    .addColumn('organisation_id', 'text', (column) => column.primaryKey())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .execute();
}

async function createCheckpoints(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('audit_checkpoint')
    .addColumn('organisation_id', 'text', (column) => column.notNull())
    .addColumn('sequence', 'bigint', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('hash', 'text', (column) => column.notNull())
    .addColumn('at_ms', 'bigint', (column) => column.notNull())
    .addColumn('signature', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('audit_checkpoint_key', ['organisation_id', 'sequence', 'key_id'])
    .execute();
}
