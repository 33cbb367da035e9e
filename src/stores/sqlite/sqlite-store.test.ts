import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SqlStore } from '../sql/sql-store.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { STORE_FILE } from './store-file.ts';

let dataDir: string;
let store: SqlStore;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-sqlite-'));
  store = await openSqliteStore({ dataDir });
});
afterEach(async () => {
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

test('what reports are read with is opened again after it could not be', async () => {
  const organisations = () => store.db.selectFrom('organisation').select('organisation_id').execute();
  const file = join(dataDir, STORE_FILE);
  await rename(file, `${file}.away`);
  await expect(organisations()).rejects.toThrow('is not there');
  await rename(`${file}.away`, file);
  expect(await organisations()).toEqual([{ organisation_id: 'default' }]);
});
