import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ClientKeyRepository } from '../../src/stores/sql/repositories/client-keys.ts';
import { UsageRepository } from '../../src/stores/sql/repositories/usage.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { fillAccounts } from '../accounts/data-folder.ts';
import { median } from '../statistics.ts';
import { ledgerOver } from './calls.ts';
import { fillCalls } from './fill.ts';

export interface StartFigures {
  readonly keys: number;
  readonly rows: number;
  readonly fileMegabytes: number;
  /** Opening the store and the ledger and reading all keys, ms; one value a round. */
  readonly openMs: readonly number[];
  readonly openMedianMs: number;
  /** On the thread of reports, while commits go on. */
  readonly usageByModelMs: number;
  readonly integrityCheckMs: number;
}

const ROUNDS = 5;

/** How long a start takes with so many keys and so many calls on record. */
export async function measureStart(dataDir: string, keys: number, rows: number): Promise<StartFigures> {
  await fillCalls(dataDir, keys, rows);
  await fillAccounts(dataDir, { keys, projects: 1, budgets: 'none' });
  const openMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) openMs.push(await timed(() => open(dataDir)));
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const query = {
    organisationId: 'default',
    projectIds: null,
    fromMs: 0,
    toMs: Date.now() * 2,
    groupBy: ['model'],
  } as const;
  const usageByModelMs = await timed(() => new UsageRepository(store.db).sums(query));
  const integrityCheckMs = await timed(() => store.checkIntegrity());
  await store.close();
  const fileMegabytes = statSync(join(dataDir, 'swarmrouter.db')).size / 1e6;
  return {
    keys,
    rows,
    fileMegabytes,
    openMs,
    openMedianMs: median(openMs),
    usageByModelMs,
    integrityCheckMs,
  };
}

async function open(dataDir: string): Promise<void> {
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const ledger = await ledgerOver(store, dataDir);
  await new ClientKeyRepository(store.db).all();
  await ledger.close();
  await store.close();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const atMs = performance.now();
  await work();
  return performance.now() - atMs;
}
