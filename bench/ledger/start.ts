import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { LedgerOperation } from '../../src/core/ledger.ts';
import { write } from '../../src/stores/sql/ledger/commit.ts';
import { ClientKeyRepository } from '../../src/stores/sql/repositories/client-keys.ts';
import { UsageRepository } from '../../src/stores/sql/repositories/usage.ts';
import { SqliteConnection } from '../../src/stores/sqlite/connection.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { median } from '../statistics.ts';
import { ledgerOver, someEnd, someStart } from './calls.ts';

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

const AT_ONCE = 5_000;
const ROUNDS = 5;

/** How long a start takes with so many keys and so many calls on record. */
export async function measureStart(dataDir: string, keys: number, rows: number): Promise<StartFigures> {
  await fill(dataDir, keys, rows);
  const openMs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) openMs.push(await timed(() => open(dataDir)));
  const store = await openSqliteStore({ dataDir });
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
  const store = await openSqliteStore({ dataDir });
  const ledger = await ledgerOver(store, dataDir);
  await new ClientKeyRepository(store.db).all();
  await ledger.close();
  await store.close();
}

async function fill(dataDir: string, keys: number, rows: number): Promise<void> {
  const store = await openSqliteStore({ dataDir });
  await store.db.transaction().execute(async (transaction) => {
    const key = (index: number) => ({
      organisation_id: 'default',
      key_id: `key-${index}`,
      created_at_ms: 0,
      expires_at_ms: null,
    });
    for (let begin = 0; begin < keys; begin += 1_000) {
      const some = Array.from({ length: Math.min(1_000, keys - begin) }, (_, index) => begin + index);
      const policies = JSON.stringify({ limits: { rpm: 60 } });
      await transaction
        .insertInto('client_key')
        .values(
          some.map((index) => ({
            ...key(index),
            project_id: 'default',
            name: `key ${index}`,
            owner: null,
            revoked_at_ms: null,
            policies,
            revision: 1,
          })),
        )
        .execute();
      await transaction
        .insertInto('client_key_version')
        .values(some.map((index) => ({ ...key(index), version: 1, prefix: 'swr_live_x', key_hash: `hash ${index}` })))
        .execute();
    }
  });
  await store.close();
  const connection = new SqliteConnection(join(dataDir, 'swarmrouter.db'), false);
  for (let written = 0; written < rows; written += AT_ONCE) {
    const operations = Array.from({ length: Math.min(AT_ONCE, rows - written) }, (_, index): LedgerOperation[] => {
      const start = { ...someStart(`key-${index % keys}`), startedAtMs: Date.now() - (rows - written - index) * 1_000 };
      const { attemptId } = start;
      return [
        { kind: 'start', start, enforce: false },
        { kind: 'end', organisationId: 'default', attemptId, end: someEnd() },
      ];
    });
    connection.transact(() => write('bench', operations.flat(), { lookUp: false }));
  }
  connection.close();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const atMs = performance.now();
  await work();
  return performance.now() - atMs;
}
