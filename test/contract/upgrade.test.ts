import { Database } from 'bun:sqlite';
import { afterAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { sql } from 'kysely';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { beforeBudgetParts, hurrying } from './earlier-store.ts';
import { type Backend, backends, openAt, type StorePlace, starting } from './store-support.ts';

const all = await backends();
const [sqlite] = all as readonly [Backend, ...Backend[]];
afterAll(() => Promise.all(all.map((backend) => backend.end())));

/** What a start says. */
const refusal = (opening: Promise<unknown>): Promise<string> =>
  opening.then(
    () => 'it opened',
    (error: Error) => error.message,
  );
const where = (place: StorePlace): string => ('url' in place ? new URL(place.url).pathname.slice(1) : place.dataDir);

describe.each(all.map((backend) => [backend.name, backend] as const))('an upgrade of a store in %s', (_, backend) => {
  /** A store of the version before 0006, with a call that runs, and what still has it open. */
  async function earlier() {
    const place = await backend.place();
    const store = await openAt(place);
    await store.commit('old-one', [starting('open')]);
    await beforeBudgetParts(store);
    const beat = () => sql`update ledger_owner set beat = beat + 1 where owner_id = 'old-one'`.execute(store.db);
    return { place, store, beat };
  }

  test('is refused while a gateway of the earlier version works on it, and changes nothing', async () => {
    const { place, store, beat } = await earlier();
    try {
      const said = await refusal(openAt(place, hurrying(beat)));
      for (const word of [where(place), '0006-budget-parts', 'old-one', 'Stop all gateways', 'Nothing was changed']) {
        expect(said).toContain(word);
      }
      const { rows } = await sql<{ n: number }>`select count(*) as n from budget_hold`.execute(store.db);
      expect(Number(rows[0]?.n)).toBe(0);
    } finally {
      await store.close();
    }
  });

  test('is made when that one was killed, and left itself on record as alive', async () => {
    const { place, store } = await earlier();
    await store.close();
    let waits = 0;
    const upgraded = await openAt(
      place,
      hurrying(async () => void waits++),
    );
    expect(await upgraded.db.selectFrom('budget_part').selectAll().execute()).toEqual([]);
    await upgraded.close();
    expect(waits).toBe(12);
  });

  test('waits for nobody where all have said that they end, or there is nothing to be done', async () => {
    const { place, store } = await earlier();
    await sql`update ledger_owner set alive = 0`.execute(store.db);
    await store.close();
    const waiting = hurrying(async () => {
      throw new Error('it waits');
    });
    await (await openAt(place, waiting)).close();
    const again = await openAt(place, waiting);
    await sql`update ledger_owner set alive = 1`.execute(again.db);
    await again.close();
    await (await openAt(place, waiting)).close();
  });

  test('goes on when another of the new version was quicker and is at work', async () => {
    const { place, store } = await earlier();
    await store.close();
    let first: Awaited<ReturnType<typeof openAt>> | null = null;
    const meanwhile = async () => {
      first ??= await openAt(place, hurrying());
      await first.commit('new-one', [starting('new')]);
    };
    const second = await openAt(place, hurrying(meanwhile));
    await second.close();
    await (first as Awaited<ReturnType<typeof openAt>> | null)?.close();
  });

  test('that a later version made is left alone by this one, which says what to do', async () => {
    const place = await backend.place();
    const store = await openAt(place);
    const later = { name: '9999-later', timestamp: '2100-01-01' };
    await store.db.withTables<{ migration: typeof later }>().insertInto('migration').values(later).execute();
    await store.close();
    const said = await refusal(openAt(place));
    for (const word of [where(place), 'later version of SwarmRouter', '9999-later', 'backup', 'Start that version']) {
      expect(said).toContain(word);
    }
    expect(said).not.toContain('corrupted');
  });
});

test.each([
  ['an earlier version', true],
  ['no store yet', false],
] as const)(
  'a start with %s waits for another process that holds the lock of SQLite for longer than a commit would',
  async (_, isThere) => {
    const place = await sqlite.place();
    if (!('dataDir' in place)) throw new Error('SQLite has a folder');
    if (isThere) {
      const store = await openAt(place);
      await beforeBudgetParts(store);
      await store.close();
    }
    const other = new Database(join(place.dataDir, STORE_FILE), { create: true });
    other.run('begin exclusive');
    const opening = openAt(place);
    // SQLite's own patience is real time: longer than that of one try.
    await Bun.sleep(600);
    other.run('commit');
    other.close();
    const store = await opening;
    expect(await store.db.selectFrom('budget_part').selectAll().execute()).toEqual([]);
    await store.close();
  },
);
