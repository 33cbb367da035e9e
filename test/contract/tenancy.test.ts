import { afterAll, describe, expect, test } from 'bun:test';
import { type Kysely, sql } from 'kysely';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import type { Tables } from '../../src/stores/sql/tables.ts';
import { backends, openAt } from './store-support.ts';

const all = await backends();
afterAll(() => Promise.all(all.map((backend) => backend.end())));

/** What belongs to the gateway and to no tenant, and why. */
const OF_THE_GATEWAY: Readonly<Record<string, string>> = {
  meta: 'facts of the store itself',
  ledger_owner: 'processes that write to the ledger for all tenants',
  spent_login: 'logins at the identity provider that were used, by the hash of a random secret',
  migration: 'which migrations were made',
  migration_lock: 'who makes them',
};

/** Columns of the primary key in their order, by table. */
async function primaryKeys({ db, dialect }: SqlStore): Promise<ReadonlyMap<string, readonly string[]>> {
  const columns = dialect === 'sqlite' ? await sqliteKeys(db) : await postgresKeys(db);
  return new Map(
    [...Map.groupBy(columns, ({ name }) => name)].map(([name, rows]) => [name, rows.map(({ key }) => key)]),
  );
}

interface KeyColumn {
  readonly name: string;
  readonly key: string;
}

async function sqliteKeys(db: Kysely<Tables>): Promise<readonly KeyColumn[]> {
  const { rows } = await sql<KeyColumn>`
    select t.name as name, coalesce(c.name, '') as key
    from sqlite_master as t left join pragma_table_info(t.name) as c on c.pk > 0
    where t.type = 'table' and t.name not like 'sqlite_%' order by t.name, c.pk`.execute(db);
  return rows;
}

async function postgresKeys(db: Kysely<Tables>): Promise<readonly KeyColumn[]> {
  const { rows } = await sql<KeyColumn>`
    select t.table_name as name, coalesce(k.column_name, '') as key
    from information_schema.tables as t
    left join information_schema.table_constraints as c
      on c.table_schema = t.table_schema and c.table_name = t.table_name and c.constraint_type = 'PRIMARY KEY'
    left join information_schema.key_column_usage as k
      on k.constraint_schema = c.constraint_schema and k.constraint_name = c.constraint_name
    where t.table_schema = current_schema() and t.table_type = 'BASE TABLE'
    order by t.table_name, k.ordinal_position`.execute(db);
  return rows;
}

describe.each(all.map((backend) => [backend.name, backend] as const))('S-18 the tables in %s', (_, backend) => {
  test('have the tenant as the first column of every primary key', async () => {
    const store = await openAt(await backend.place());
    try {
      const keys = await primaryKeys(store);
      expect(keys.size).toBeGreaterThan(15);
      const others = [...keys].filter(([name, [first]]) => first !== 'organisation_id' && !(name in OF_THE_GATEWAY));
      expect(others).toEqual([]);
      for (const name of Object.keys(OF_THE_GATEWAY)) expect([name, keys.has(name)]).toEqual([name, true]);
    } finally {
      await store.close();
    }
  });
});
