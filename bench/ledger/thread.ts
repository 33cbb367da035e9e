import { join } from 'node:path';
import type { LedgerOperation } from '../../src/core/ledger.ts';
import { commit } from '../../src/stores/sql/ledger/commit.ts';
import { SqliteConnection } from '../../src/stores/sqlite/connection.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { percentile } from '../statistics.ts';
import { someStart } from './calls.ts';

export interface CommitFigures {
  readonly where: 'on the event loop' | 'on a thread of its own';
  readonly operations: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** How long the event loop stands still for it. */
  readonly blockedP50Ms: number;
  readonly blockedP99Ms: number;
}

const COMMITS = 400;

/** What a group commit costs the event loop, with and without a thread: why there is one (ADR 0012). */
export async function measureCommits(dataDir: string, operations: number): Promise<readonly CommitFigures[]> {
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const threaded = await rounds(operations, async (batch) => {
    const atMs = performance.now();
    const done = store.commit('bench', batch);
    const blockedMs = performance.now() - atMs;
    await done;
    return blockedMs;
  });
  await store.close();
  const connection = new SqliteConnection(join(dataDir, 'swarmrouter.db'), false);
  const direct = await rounds(operations, async (batch) => {
    const atMs = performance.now();
    connection.transact(() => commit('bench on the loop', batch, { lookUp: false }));
    return performance.now() - atMs;
  });
  connection.close();
  return [
    { where: 'on a thread of its own', operations, ...threaded },
    { where: 'on the event loop', operations, ...direct },
  ];
}

async function rounds(
  operations: number,
  run: (batch: readonly LedgerOperation[]) => Promise<number>,
): Promise<Omit<CommitFigures, 'where' | 'operations'>> {
  const [wall, blocked]: [number[], number[]] = [[], []];
  for (let count = 0; count < COMMITS; count++) {
    const batch = Array.from({ length: operations }, (): LedgerOperation => {
      return { kind: 'start', start: someStart(null), enforce: false };
    });
    const atMs = performance.now();
    blocked.push(await run(batch));
    wall.push(performance.now() - atMs);
  }
  const at = (values: number[], fraction: number): number => percentile(Float64Array.from(values).sort(), fraction);
  return {
    p50Ms: at(wall, 0.5),
    p99Ms: at(wall, 0.99),
    blockedP50Ms: at(blocked, 0.5),
    blockedP99Ms: at(blocked, 0.99),
  };
}
