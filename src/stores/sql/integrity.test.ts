import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { starting } from '../../../test/contract/store-support.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { StoreClosed, StoreUnavailable } from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import { systemClock } from '../../system-clock.ts';
import { openSqliteStore } from '../sqlite/sqlite-store.ts';
import { refuseDamaged } from './integrity.ts';

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-integrity-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Over the last pages of the file: it opens, and its tables are not what they say. */
async function damage(): Promise<void> {
  const path = join(folder, 'swarmrouter.db');
  const file = await open(path, 'r+');
  const { size } = await stat(path);
  const pages = 3 * 4096;
  await file.write(Buffer.alloc(pages, 0x5a), 0, pages, size - pages);
  await file.close();
}

test('a sound store is taken, and a damaged one is refused with what is wrong and what to do', async () => {
  const sound = await openSqliteStore({ dataDir: folder, clock: systemClock });
  await sound.commit(
    'me',
    Array.from({ length: 500 }, (_, index) => starting(`a${index}`)),
  );
  await refuseDamaged(sound, new ManualClock(), logger);
  await sound.close();
  await damage();
  const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  const refusal = refuseDamaged(store, new ManualClock(), logger);
  await expect(refusal).rejects.toThrow(/the store is damaged .* from a backup/);
  await store.close();
});

test('a check that takes long holds up no start; what it finds is logged', async () => {
  const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  const clock = new ManualClock();
  const logged: string[] = [];
  let say: (findings: readonly string[]) => void = silent;
  const slow = Object.assign(Object.create(store), {
    checkIntegrity: () => new Promise<readonly string[]>((resolve) => (say = resolve)),
    fileBytes: () => 1,
  });
  const taken = refuseDamaged(slow, clock, { ...logger, error: (_, text) => void logged.push(text) });
  await clock.advance(300);
  await taken;
  say(['row 7 missing from index']);
  await clock.advance(1);
  expect(logged).toEqual([expect.stringContaining('row 7 missing from index')]);
  await store.close();
});

test.each([
  [new StoreUnavailable('gone', 'no such file'), 1],
  [new StoreClosed(), 0],
])('a check that fails later is logged, but for that of a store that was closed meanwhile', async (error, times) => {
  const clock = new ManualClock();
  const logged: object[] = [];
  const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  const large = Object.assign(Object.create(store), {
    checkIntegrity: () => Promise.reject(error),
    fileBytes: () => 1e9,
  });
  await refuseDamaged(large, clock, { ...logger, error: (fields) => void logged.push(fields) });
  await clock.advance(3_000);
  expect(logged.length).toBe(times);
  await store.close();
});

test('a store that is closed opens nothing any more', async () => {
  const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  const clock = new ManualClock();
  const logged: object[] = [];
  const large = Object.assign(Object.create(store), {
    checkIntegrity: () => store.checkIntegrity(),
    fileBytes: () => 1e9,
  });
  await refuseDamaged(large, clock, { ...logger, error: (fields) => void logged.push(fields) });
  await store.close();
  await clock.advance(3_000);
  await expect(store.checkIntegrity()).rejects.toBeInstanceOf(StoreClosed);
  await expect(store.db.selectFrom('ledger_attempt').selectAll().execute()).rejects.toBeInstanceOf(StoreClosed);
  await expect(store.commit('me', [starting('late')])).rejects.toBeInstanceOf(StoreClosed);
  expect(logged).toEqual([]);
});

test('a large store is not read before the gateway has started; what is found then is logged', async () => {
  const store = await openSqliteStore({ dataDir: folder, clock: systemClock });
  const clock = new ManualClock();
  const logged: string[] = [];
  let checks = 0;
  const large = Object.assign(Object.create(store), {
    checkIntegrity: async () => [`row ${++checks} missing from index`],
    fileBytes: () => 1e9,
  });
  await refuseDamaged(large, clock, { ...logger, error: (_, text) => void logged.push(text) });
  expect(checks).toBe(0);
  await clock.advance(3_000);
  expect(logged).toEqual([expect.stringContaining('row 1 missing from index')]);
  expect(store.fileBytes()).toBeGreaterThanOrEqual(4_096);
  await store.close();
});
