import { join } from 'node:path';
import type { LedgerOperation } from '../../src/core/ledger.ts';
import { write } from '../../src/stores/sql/ledger/commit.ts';
import { SqliteConnection } from '../../src/stores/sqlite/connection.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { STORE_FILE } from '../../src/stores/sqlite/store-file.ts';
import { systemClock } from '../../src/system-clock.ts';
import { keyIdOf } from '../accounts/data-folder.ts';
import { someEnd, someStart } from './calls.ts';

const AT_ONCE = 5_000;
const EVERY_MS = 1_000;

/** Puts calls that have ended on record, of keys in turn, one each second until now. */
export async function fillCalls(dataDir: string, keys: number, calls: number): Promise<void> {
  await (await openSqliteStore({ dataDir, clock: systemClock })).close();
  const connection = new SqliteConnection(join(dataDir, STORE_FILE), false);
  for (let written = 0; written < calls; written += AT_ONCE) {
    const operations = Array.from({ length: Math.min(AT_ONCE, calls - written) }, (_, index): LedgerOperation[] => {
      const startedAtMs = Date.now() - (calls - written - index) * EVERY_MS;
      const start = { ...someStart(keyIdOf(index % keys)), startedAtMs };
      return [
        { kind: 'start', start, enforce: false },
        { kind: 'end', organisationId: start.payer.organisationId, attemptId: start.attemptId, end: someEnd() },
      ];
    });
    connection.transact(() => write('bench', operations.flat(), { lookUp: false }));
  }
  connection.close();
}
