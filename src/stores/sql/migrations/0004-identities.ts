import type { Kysely } from 'kysely';

/** People who come from an identity provider. */
export function identities() {
  return {
    async up({ schema }: Kysely<unknown>): Promise<void> {
      for (const column of ['issuer', 'subject']) await schema.alterTable('person').addColumn(column, 'text').execute();
      await schema.createIndex('person_identity').unique().on('person').columns(['issuer', 'subject']).execute();
      await schema
        .createTable('spent_login')
        .addColumn('login_hash', 'text', (column) => column.primaryKey())
        .addColumn('at_ms', 'bigint', (column) => column.notNull())
        .execute();
    },
  };
}
