import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgresStore } from '../../src/stores/postgres/postgres-store.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { freePort } from '../support/free-port.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { starting } from './store-support.ts';

const postgres = await startPostgres();
afterAll(() => postgres?.stop());

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-cannot-open-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** What a start says. */
async function refusal(opening: Promise<unknown>): Promise<string> {
  return opening.then(
    () => 'it opened',
    (error: Error) => error.message,
  );
}

describe('a start whose store cannot be opened', () => {
  test('says that the file is no database, and what to do with it', async () => {
    const path = join(folder, 'swarmrouter.db');
    await writeFile(path, 'no database at all '.repeat(20));
    const said = await refusal(openSqliteStore({ dataDir: folder, clock: systemClock }));
    expect(said).toStartWith(`the store ${path} is no SQLite database, or a damaged one`);
    expect(said).toContain('from a backup');
    expect(said).toContain('move all three away');
  });

  test('says that the file is damaged where its list of tables is', async () => {
    const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
    await store.commit('me', [starting('a')]);
    await store.close();
    const path = join(folder, 'swarmrouter.db');
    const file = await open(path, 'r+');
    // The header stays: it still looks like a database.
    await file.write(Buffer.alloc(3_900, 0x5a), 0, 3_900, 100);
    await file.close();
    expect(await refusal(openSqliteStore({ dataDir: folder, clock: systemClock }))).toContain('or a damaged one (');
  });

  test('says where it looked for a database that cannot be reached, without the password', async () => {
    const port = await freePort();
    const said = await refusal(
      openPostgresStore({ url: `postgres://me:geheim-0123@127.0.0.1:${port}/name`, clock: systemClock }),
    );
    expect(said).toStartWith(`the database cannot be reached at 127.0.0.1:${port}: `);
    expect(said).toEndWith('Start the server, or correct SWARMROUTER_DATABASE_URL');
    expect(said).not.toContain('geheim');
  });

  test.skipIf(postgres === null)('tells a database that is not there from a server that lets nobody in', async () => {
    const url = new URL((await postgres?.database()) ?? '');
    const server = `${url.hostname}:${url.port}`;
    const nowhere = new URL(url);
    nowhere.pathname = '/nowhere';
    const missing = await refusal(openPostgresStore({ url: nowhere.href, clock: systemClock }));
    expect(missing).toStartWith(`${server} has no database "nowhere": `);
    expect(missing).toContain('createdb nowhere');
    const stranger = new URL(url);
    stranger.username = 'stranger';
    expect(await refusal(openPostgresStore({ url: stranger.href, clock: systemClock }))).toStartWith(
      `the database server at ${server} does not let us in: `,
    );
  });
});
