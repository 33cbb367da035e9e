import { afterAll, describe, expect, test } from 'bun:test';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../src/core/logger.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { verifyLedger } from '../../src/stores/sql/repositories/verify.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import { journalOwners } from '../../src/usage/ledger/adopt-journals.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import type { ProcessTask } from './ledger-process.ts';
import { backends, NOON_MS, openAt, type StorePlace } from './store-support.ts';

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

const COST = 7;
const LIMIT = 1_000;
const CALLS = 1_000;
const KILLS = Number(process.env['SWARMROUTER_TEST_KILLS'] ?? 20);

const all = await backends();
const journalFolder = await mkdtemp(join(tmpdir(), 'swarmrouter-spill-'));
afterAll(async () => {
  await Promise.all(all.map((backend) => backend.end()));
  await rm(journalFolder, { recursive: true, force: true });
});

function startProcess(task: ProcessTask) {
  return Bun.spawn({
    cmd: [process.execPath, join(import.meta.dir, 'ledger-process.ts'), JSON.stringify(task)],
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  });
}

/** Has the calls made by so many processes, all at the same moment; what became of each. */
async function burst(place: StorePlace, processes: number): Promise<string[]> {
  const count = Math.ceil(CALLS / processes);
  const started = Array.from({ length: processes }, () =>
    startProcess({ kind: 'burst', place, journalFolder, count, costNanoUsd: COST }),
  );
  const readers = started.map(({ stdout }) => lines(stdout));
  for (const reader of readers) expect((await reader.next()).value).toBe('ready');
  for (const { stdin } of started) {
    stdin.write('go\n');
    stdin.end();
  }
  const fates = await Promise.all(
    readers.map(async (reader) => JSON.parse(String((await reader.next()).value)) as string[]),
  );
  await Promise.all(started.map(({ exited }) => exited));
  return fates.flat();
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
}

describe.each(all.map((backend) => [backend.name, backend] as const))('the ledger in %s', (_, backend) => {
  test.each([1, 3])(
    'admits exactly what fits of a thousand calls at once, from %d processes',
    async (processes) => {
      const place = await backend.place();
      const store = await openAt(place);
      const budget = { organisationId: 'default', budgetId: 'b', unit: 'usd', hard: true, createdAtMs: 0 } as const;
      await new BudgetRepository(store.db).create({
        ...budget,
        scope: 'project',
        scopeId: 'default',
        window: 'day',
        limit: LIMIT,
      });
      const fates = await burst(place, processes);
      expect(fates.filter((fate) => fate === 'admitted')).toHaveLength(Math.floor(LIMIT / COST));
      expect(new Set(fates)).toEqual(new Set(['admitted', 'refused']));
      const [state] = await new BudgetRepository(store.db).states(NOON_MS);
      expect([state?.reserved, state?.settled]).toEqual([Math.floor(LIMIT / COST) * COST, 0]);
      expect((await verifyLedger(store)).findings).toEqual([]);
      await store.close();
    },
    120_000,
  );

  test(`loses nothing that was promised, however often its process is killed (${KILLS} times)`, async () => {
    const place = await backend.place();
    const promised: string[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      const child = startProcess({ kind: 'write', place, journalFolder });
      const enough = kill * 7;
      let seen = 0;
      for await (const line of lines(child.stdout)) {
        promised.push(line);
        if (++seen === enough + 1) child.kill('SIGKILL');
      }
      await child.exited;
    }
    const store = await openAt(place);
    expect(await store.checkIntegrity()).toEqual([]);
    // What the last one had promised and not brought to the store yet is in its journal.
    const heir = await openLedger({
      store,
      clock: systemClock,
      logger,
      journalFolder,
      locks: sqliteFileLocks,
      newOwnerId: randomUUID,
    });
    await heir.close();
    expect(await journalOwners(journalFolder)).toEqual([]);
    const rows = await store.db.selectFrom('ledger_attempt').select(['attempt_id', 'state', 'cost_nano_usd']).execute();
    const settled = new Map(rows.map((row) => [row.attempt_id, `${row.state} ${row.cost_nano_usd}`]));
    expect(promised.filter((id) => settled.get(id) !== 'settled 7')).toEqual([]);
    for (const { ownerId } of await store.owners()) await store.resolveOrphans(ownerId, NOON_MS);
    expect((await verifyLedger(store)).findings).toEqual([]);
    await store.close();
  }, 300_000);
});
