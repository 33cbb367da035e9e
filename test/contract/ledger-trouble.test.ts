import { Database } from 'bun:sqlite';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BudgetExceeded, type Ledger, type LedgerStore, LedgerUnavailable } from '../../src/core/ledger.ts';
import type { Logger } from '../../src/core/logger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import type { GroupLedgerOptions } from '../../src/usage/ledger/group-ledger.ts';
import { Journal } from '../../src/usage/ledger/journal.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { closeUnderneath } from '../support/close-underneath.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { ending, endOf, NOON_MS, openAt, starting, startOf } from './store-support.ts';

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'swarmrouter-trouble-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function ledgerOver(store: LedgerStore, changes: Partial<GroupLedgerOptions> = {}): Promise<Ledger> {
  return openLedger({
    store,
    clock: systemClock,
    logger,
    journalFolder: folder,
    locks: sqliteFileLocks,
    newOwnerId: randomUUID,
    ...changes,
  });
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(10);
}

/** So many calls, begun and ended; resolves when all ends were promised. */
async function calls(ledger: Ledger, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => ledger.begin(startOf(name)).end(endOf({ costNanoUsd: 7 }))));
}

const names = (prefix: string, count = 50): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`);

async function settled(store: SqlStore, ledger?: Ledger): Promise<string[]> {
  await ledger?.flush();
  const rows = await store.db
    .selectFrom('ledger_attempt')
    .select('attempt_id')
    .where('state', '=', 'settled')
    .where('cost_nano_usd', '=', 7)
    .execute();
  return rows.map((row) => row.attempt_id).sort();
}

const errorOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => error,
  );

describe('a ledger whose SQLite file', () => {
  test('is locked for a while keeps all usage in its file, and brings it there afterwards', async () => {
    const store = await openAt({ dataDir: folder });
    const ledger = await ledgerOver(store);
    await calls(ledger, names('before'));
    const running = ledger.begin(startOf('over it'));
    await ledger.flush();
    const other = new Database(join(folder, 'swarmrouter.db'));
    other.run('begin immediate');
    await calls(ledger, names('during'));
    await running.end(endOf({ costNanoUsd: 7 }));
    await ledger.flush();
    expect(ledger.health()).toMatchObject({ state: 'spilling', lost: 0 });
    expect(ledger.health().problem).toStartWith('locked');
    expect(ledger.health().waiting).toBeGreaterThanOrEqual(100);
    other.run('rollback');
    other.close();
    await until(() => ledger.health().state === 'ok');
    await calls(ledger, names('after'));
    expect(await settled(store, ledger)).toEqual(
      [...names('before'), ...names('during'), 'over it', ...names('after')].sort(),
    );
    expect(ledger.health()).toMatchObject({ waiting: 0, journalBytes: 0, lateEnds: 0 });
    expect((await verifyLedger(store)).findings).toEqual([]);
    await ledger.close();
    expect((await readdir(folder)).filter((name) => name.includes('journal'))).toEqual([]);
    await store.close();
  }, 30_000);

  test('is locked refuses calls under a hard budget, and sets nothing aside for them', async () => {
    const store = await openAt({ dataDir: folder });
    const budget = { organisationId: 'default', budgetId: 'b', unit: 'usd', hard: true, createdAtMs: 0 } as const;
    await new BudgetRepository(store.db).create({
      ...budget,
      scope: 'project',
      scopeId: 'default',
      window: 'day',
      limit: 100,
    });
    const ledger = await ledgerOver(store, { reserveWaitMs: 0 });
    const other = new Database(join(folder, 'swarmrouter.db'));
    other.run('begin immediate');
    const refused = await errorOf(ledger.reserve(startOf('a', { reservedNanoUsd: 60 })));
    expect(refused).toBeInstanceOf(LedgerUnavailable);
    other.run('rollback');
    other.close();
    await until(() => ledger.health().state === 'ok');
    await ledger.flush();
    const admitted = await ledger.reserve(startOf('b', { reservedNanoUsd: 100 }));
    expect(await errorOf(ledger.reserve(startOf('c', { reservedNanoUsd: 1 })))).toBeInstanceOf(BudgetExceeded);
    await Promise.all([admitted.end(endOf({ costNanoUsd: 40 })), admitted.end(endOf({ costNanoUsd: 99 }))]);
    const [state] = await new BudgetRepository(store.db).states(NOON_MS);
    expect([state?.reserved, state?.settled]).toEqual([0, 40]);
    await ledger.close();
    await store.close();
  }, 30_000);

  test('is locked only for a moment admits what waited for it', async () => {
    const store = await openAt({ dataDir: folder });
    const ledger = await ledgerOver(store, { reserveWaitMs: 60_000 });
    const other = new Database(join(folder, 'swarmrouter.db'));
    other.run('begin immediate');
    const reserved = ledger.reserve(startOf('a'));
    await until(() => ledger.health().state === 'spilling');
    other.run('rollback');
    other.close();
    await (await reserved).end(endOf({ costNanoUsd: 7 }));
    expect(await settled(store, ledger)).toEqual(['a']);
    await ledger.close();
    await store.close();
  }, 30_000);

  test('is gone for a while, folder and all, keeps usage in memory and loses none', async () => {
    const dataDir = join(folder, 'data');
    const store = await openAt({ dataDir });
    const ledger = await ledgerOver(store, { journalFolder: dataDir });
    await calls(ledger, names('before'));
    await rename(dataDir, join(folder, 'elsewhere'));
    await calls(ledger, names('during'));
    await ledger.flush();
    await calls(ledger, names('after it was seen'));
    expect(ledger.health()).toMatchObject({ state: 'memory', lost: 0 });
    expect(ledger.health().problem).toStartWith('gone');
    expect(await readdir(folder)).toEqual(['elsewhere']);
    await rename(join(folder, 'elsewhere'), dataDir);
    await until(() => ledger.health().state === 'ok');
    const all = [...names('before'), ...names('during'), ...names('after it was seen')];
    expect(await settled(store, ledger)).toEqual(all.sort());
    await ledger.close();
    await store.close();
  }, 30_000);

  test.skipIf(process.platform !== 'linux')(
    'is locked, and whose journal is on a disk that is lost, keeps usage in memory and answers everybody',
    async () => {
      const store = await openAt({ dataDir: folder });
      const ledger = await ledgerOver(store);
      await calls(ledger, names('before'));
      const other = new Database(join(folder, 'swarmrouter.db'));
      other.run('begin immediate');
      await ledger.flush();
      await calls(ledger, names('in the journal'));
      expect(ledger.health().state).toBe('spilling');
      for (const name of (await readdir(folder)).filter((file) => /^ledger-journal-.*\.log$/.test(file))) {
        closeUnderneath(join(folder, name));
      }
      await calls(ledger, names('during'));
      expect(ledger.health()).toMatchObject({ lost: 0 });
      other.run('rollback');
      other.close();
      await until(() => ledger.health().state === 'ok');
      const all = [...names('before'), ...names('in the journal'), ...names('during')];
      expect(await settled(store, ledger)).toEqual(all.sort());
      await ledger.close();
      await store.close();
    },
    30_000,
  );

  test('has no room on its disk keeps usage in memory, and loses none', async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]);
    if (mounted.status !== 0) {
      console.log('skipped: the test with a full disk, since this user may not mount one');
      return;
    }
    try {
      const store = await openAt({ dataDir: disk });
      const ledger = await ledgerOver(store, { journalFolder: disk });
      await calls(ledger, names('before'));
      await errorOf(writeFile(join(disk, 'filler'), Buffer.alloc(4 * 1024 * 1024)));
      // The log of SQLite has some room of its own.
      const during: string[] = [];
      for (let round = 0; ledger.health().state === 'ok' && round < 200; round++) {
        during.push(...names(`round ${round} `));
        await calls(ledger, during.slice(-50));
        await ledger.flush();
      }
      during.push(...names('full'));
      await calls(ledger, names('full'));
      expect(ledger.health()).toMatchObject({ lost: 0 });
      expect(ledger.health().problem).toStartWith('full');
      await rm(join(disk, 'filler'));
      await until(() => ledger.health().state === 'ok');
      expect(await settled(store, ledger)).toEqual([...names('before'), ...during].sort());
      expect(await store.checkIntegrity()).toEqual([]);
      await ledger.close();
      await store.close();
    } finally {
      spawnSync('umount', [disk]);
    }
  }, 60_000);
});

test('an end is not promised before those that came before it, though one of them must be told from its beginning', async () => {
  const store = await openAt({ dataDir: folder });
  let commits = 0;
  const counting: LedgerStore = {
    commit: async (...operations) => {
      const results = await store.commit(...operations);
      commits++;
      return results;
    },
    owners: () => store.owners(),
    resolveOrphans: (...orphans) => store.resolveOrphans(...orphans),
  };
  const ledger = await ledgerOver(counting);
  const [lost, kept] = [ledger.begin(startOf('lost')), ledger.begin(startOf('kept'))];
  await ledger.flush();
  // As from an older copy of the file.
  const file = new Database(join(folder, 'swarmrouter.db'));
  file.run('drop trigger ledger_attempt_kept');
  file.run("delete from ledger_attempt where attempt_id = 'lost'");
  file.close();
  const before = commits;
  const first = lost.end(endOf({ costNanoUsd: 7 }));
  await kept.end(endOf({ costNanoUsd: 7 }));
  // One for both ends, and one that tells the first of them from its beginning.
  expect(commits - before).toBe(2);
  await first;
  expect(await settled(store, ledger)).toEqual(['kept', 'lost']);
  await ledger.close();
  await store.close();
});

test('usage whose write fails in a way that nobody foresaw is kept, and its callers are answered', async () => {
  const store = await openAt({ dataDir: folder });
  const other = new Database(join(folder, 'swarmrouter.db'));
  let failures = 0;
  const failingOnce: Logger = {
    ...logger,
    error: () => {
      if (++failures === 1) throw new Error('nobody reads the log');
    },
  };
  const ledger = await ledgerOver(store, { logger: failingOnce });
  const running = ledger.begin(startOf('running'));
  await ledger.flush();
  other.run('begin immediate');
  // What the store decides meets the trouble first, and says so to the log.
  const reserved = errorOf(ledger.reserve(startOf('reserved')));
  await running.end(endOf({ costNanoUsd: 7 }));
  expect(await reserved).toBeInstanceOf(LedgerUnavailable);
  expect(failures).toBeGreaterThan(0);
  other.run('rollback');
  other.close();
  await until(async () => (await settled(store, ledger)).length === 1);
  expect(ledger.health()).toMatchObject({ lost: 0, waiting: 0 });
  expect((await verifyLedger(store)).findings).toEqual([]);
  await ledger.close();
  await store.close();
}, 30_000);

test('a call that ends after its ledger was closed is answered and counted as lost, and takes nothing from what waits', async () => {
  const store = await openAt({ dataDir: folder });
  const ledger = await ledgerOver(store);
  const [late, unrecorded] = [ledger.begin(startOf('late')), ledger.begin(startOf('late, too'))];
  await ledger.flush();
  const never = ledger.begin(startOf('never on record'));
  const other = new Database(join(folder, 'swarmrouter.db'));
  other.run('begin immediate');
  await calls(ledger, names('waits'));
  const last = ledger.begin(startOf('last')).end(endOf({ costNanoUsd: 7 }));
  await ledger.close();
  await last;
  for (const entry of [late, unrecorded, never]) await entry.end(endOf({ costNanoUsd: 7 }));
  expect(await errorOf(ledger.reserve(startOf('reserved')))).toBeInstanceOf(LedgerUnavailable);
  expect(ledger.health().lost).toBeGreaterThanOrEqual(3);
  other.run('rollback');
  other.close();
  const heir = await ledgerOver(store);
  expect(await settled(store, heir)).toEqual([...names('waits'), 'last'].sort());
  await heir.close();
  await store.close();
}, 30_000);

describe('what a dead process left', () => {
  test('in its file is brought to the ledger by the next one, before its open calls are resolved', async () => {
    const store = await openAt({ dataDir: folder });
    await store.commit('dead', [starting('known'), starting('orphan')]);
    const file = new Journal(folder, 'dead', 1e6, logger);
    await file.append([
      starting('known', {}, false),
      ending('known', { costNanoUsd: 7 }),
      starting('unknown to the store', {}, false),
      ending('unknown to the store', { costNanoUsd: 7 }),
      starting('open in the file', {}, false),
    ]);
    await file.close();
    const held = sqliteFileLocks.take(join(folder, 'ledger-journal-dead.lock'));
    const clock = new ManualClock();
    const ledger = await ledgerOver(store, { clock });
    // Whoever holds the lock of the file lives.
    expect(await settled(store, ledger)).toEqual([]);
    held?.release();
    await clock.advance(1_000);
    await until(() => ledger.health().orphansResolved === 2);
    expect(await settled(store, ledger)).toEqual(['known', 'unknown to the store']);
    expect((await readdir(folder)).filter((name) => name.includes('dead'))).toEqual([]);
    expect(await store.owners()).toEqual([]);
    expect((await verifyLedger(store)).findings).toEqual([]);
    await ledger.close();
    await store.close();
  }, 30_000);

  test('is left alone while it is alive: its beat goes on', async () => {
    const store = await openAt({ dataDir: folder });
    const clock = new ManualClock();
    const ledger = await ledgerOver(store, { clock });
    await store.commit('alive', [starting('a')]);
    for (let second = 0; second < 40; second++) {
      await store.commit('alive', []);
      await clock.advance(1_000);
      await Bun.sleep(5);
    }
    expect(await store.owners()).toMatchObject([{ ownerId: 'alive', alive: true }]);
    expect(ledger.health().orphansResolved).toBe(0);
    await ledger.close();
    await store.close();
  }, 30_000);

  test('does not stop one that was taken for dead and lives: it goes on under another name', async () => {
    const store = await openAt({ dataDir: folder });
    const ownerNames = ['first', 'second'];
    const ledger = await ledgerOver(store, { newOwnerId: () => ownerNames.shift() ?? 'more' });
    const slept = ledger.begin(startOf('slept'));
    await ledger.flush();
    await store.resolveOrphans('first', NOON_MS);
    await slept.end(endOf({ costNanoUsd: 7 }));
    await calls(ledger, ['a', 'b']);
    expect(await settled(store, ledger)).toEqual(['a', 'b']);
    expect(ledger.health()).toMatchObject({ state: 'ok', lateEnds: 1 });
    expect(ownerNames).toEqual([]);
    await ledger.close();
    await store.close();
  });
});

const postgres = await startPostgres();
afterAll(() => postgres?.stop());

describe.skipIf(postgres === null)('a ledger whose PostgreSQL server', () => {
  test('is gone for a while keeps all usage in its file, and brings it there afterwards', async () => {
    if (postgres === null) return;
    const store = await openAt({ url: await postgres.database() });
    const ledger = await ledgerOver(store);
    await calls(ledger, names('before'));
    await postgres.kill();
    await calls(ledger, names('during'));
    await ledger.flush();
    expect(ledger.health()).toMatchObject({ state: 'spilling', lost: 0 });
    await postgres.start();
    await until(() => ledger.health().state === 'ok');
    await calls(ledger, names('after'));
    expect(await settled(store, ledger)).toEqual([...names('before'), ...names('during'), ...names('after')].sort());
    await ledger.close();
    await store.close();
  }, 60_000);
});
