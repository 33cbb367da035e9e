import { expect, test } from 'bun:test';
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../system-clock.ts';
import { openSqliteStore } from './sqlite-store.ts';
import { STORE_FILE } from './store-file.ts';

const OWN_FILES = '/proc/self/fd';

/** How often this process has it open. */
async function timesOpen(path: string): Promise<number> {
  const open = (await readdir(OWN_FILES)).map((name) => readlink(join(OWN_FILES, name)).catch(() => null));
  return (await Promise.all(open)).filter((target) => target === path).length;
}

test.skipIf(process.platform !== 'linux')('a store that cannot be opened is left by all that had it open', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-sqlite-'));
  const path = join(dataDir, STORE_FILE);
  try {
    const store = await openSqliteStore({ dataDir, clock: systemClock });
    expect(await timesOpen(path)).toBeGreaterThan(1);
    const later = { name: '9999-later', timestamp: '2100-01-01' };
    await store.db.withTables<{ migration: typeof later }>().insertInto('migration').values(later).execute();
    await store.close();
    await expect(openSqliteStore({ dataDir, clock: systemClock })).rejects.toThrow('cannot be opened');
    expect(await timesOpen(path)).toBe(0);
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});
