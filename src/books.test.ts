import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../test/support/manual-clock.ts';
import { BudgetBook } from './admission/budget-book.ts';
import { type BooksParts, openBooks } from './books.ts';
import { NO_AUDIT } from './core/audit.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import { openSqliteStore } from './stores/sqlite/sqlite-store.ts';
import { systemClock } from './system-clock.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Gives whoever asks for so long a timer none. */
class RefusingClock extends ManualClock {
  refusedMs: number | null = null;

  override after(delayMs: number, run: () => void): () => void {
    if (delayMs === this.refusedMs) throw new Error('no timer now');
    return super.after(delayMs, run);
  }
}

let dataDir: string;
let clock: RefusingClock;
let store: SqlStore;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-books-'));
  clock = new RefusingClock();
  store = await openSqliteStore({ dataDir, clock: systemClock });
});
afterEach(async () => {
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

const parts = (): BooksParts => ({
  ...{ clock, logger: quiet, directory: { get: () => undefined }, budgets: new BudgetBook(), keyName: () => null },
  ...{ audit: NO_AUDIT, verify: () => Promise.reject(new Error('not looked at here')) },
  prices: { priceOf: () => null, cloudPriceOf: () => null },
});

test('books that cannot be opened to the end leave no ledger open', async () => {
  const config = { dataDir, budgetAnswerTokens: 100 };
  // What the watch over budgets asks for, when the ledger is open.
  clock.refusedMs = 10_000;
  await expect(openBooks(store, config, parts())).rejects.toThrow('no timer now');
  expect(clock.pendingTimers).toBe(0);
  expect(await readdir(join(dataDir, 'journal'))).toEqual([]);
  clock.refusedMs = null;
  const books = await openBooks(store, config, parts());
  await books.close();
});
