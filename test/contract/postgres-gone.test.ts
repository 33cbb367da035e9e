import { describe, expect, test } from 'bun:test';
import { sql } from 'kysely';
import { openPostgresStore } from '../../src/stores/postgres/postgres-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { startPostgres } from '../support/postgres-server.ts';

const server = await startPostgres();

describe.skipIf(server === null)('L-12 a PostgreSQL server that goes away', () => {
  test('in the middle of a transaction ends the transaction, not the process', async () => {
    if (server === null) return;
    const store = await openPostgresStore({ url: await server.database(), clock: systemClock });
    const uncaught: unknown[] = [];
    const note = (error: unknown): void => void uncaught.push(error);
    process.on('uncaughtException', note);
    try {
      const fate = store.db
        .transaction()
        .execute(async (work) => {
          await sql`select 1`.execute(work);
          // Between two statements nobody waits for the connection who could be told.
          await server.kill();
          await Bun.sleep(100);
          await sql`select 1`.execute(work);
        })
        .then(() => 'done', String);
      expect(await fate).not.toBe('done');
      expect(uncaught).toEqual([]);
      await server.start();
      expect((await sql<{ one: number }>`select 1 as one`.execute(store.db)).rows).toEqual([{ one: 1 }]);
    } finally {
      process.off('uncaughtException', note);
      await store.close();
      await server.stop();
    }
  });
});
