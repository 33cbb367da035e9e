import type { Kysely } from 'kysely';

/** Aliases and routes that were set at run time, and what prices are told apart by when two change one. */
export function routing() {
  return {
    async up({ schema }: Kysely<unknown>): Promise<void> {
      await schema
        .createTable('model_alias')
        .addColumn('organisation_id', 'text', (column) => column.notNull())
        // In lower case: names are told apart without it.
        .addColumn('alias', 'text', (column) => column.notNull())
        .addColumn('written', 'text', (column) => column.notNull())
        .addColumn('target', 'text', (column) => column.notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('updated_at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('model_alias_key', ['organisation_id', 'alias'])
        .addForeignKeyConstraint('alias_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
        .execute();
      await schema
        .createTable('route')
        .addColumn('organisation_id', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('settings', 'text', (column) => column.notNull())
        .addColumn('revision', 'bigint', (column) => column.notNull())
        .addColumn('updated_at_ms', 'bigint', (column) => column.notNull())
        .addPrimaryKeyConstraint('route_key', ['organisation_id', 'name'])
        .addForeignKeyConstraint('route_in_organisation', ['organisation_id'], 'organisation', ['organisation_id'])
        .execute();
      await schema
        .alterTable('price')
        .addColumn('revision', 'bigint', (column) => column.notNull().defaultTo(1))
        .execute();
    },
  };
}
