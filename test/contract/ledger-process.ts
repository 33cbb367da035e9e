/** A process of the tests with a ledger of its own: `bun ledger-process.ts '<JSON>'`. What it has to say goes to stdout, a line each. */
import { randomUUID } from 'node:crypto';
import { BudgetExceeded, type Ledger } from '../../src/core/ledger.ts';
import type { Logger } from '../../src/core/logger.ts';
import { sqliteFileLocks } from '../../src/stores/sqlite/file-locks.ts';
import { systemClock } from '../../src/system-clock.ts';
import { openLedger } from '../../src/usage/ledger/open-ledger.ts';
import { endOf, openAt, type StorePlace, startOf } from './store-support.ts';

export type ProcessTask = { readonly place: StorePlace; readonly journalFolder: string } & (
  | { readonly kind: 'burst'; readonly count: number; readonly costNanoUsd: number }
  | { readonly kind: 'write' }
);

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

const task = JSON.parse(process.argv[2] ?? 'null') as ProcessTask;
const store = await openAt(task.place);
const ledger = await openLedger({
  store,
  clock: systemClock,
  logger,
  journalFolder: task.journalFolder,
  locks: sqliteFileLocks,
  newOwnerId: randomUUID,
  // Many processes on one core: none may be refused for being slow.
  reserveWaitMs: 60_000,
});
if (task.kind === 'burst') await burst(ledger, task.count, task.costNanoUsd);
else await write(ledger);

/** All at once, when the line `go` comes. */
async function burst(books: Ledger, count: number, costNanoUsd: number): Promise<void> {
  console.log('ready');
  for await (const _ of console) break;
  const fates = await Promise.all(
    Array.from({ length: count }, () =>
      books.reserve(startOf(randomUUID(), { requestId: randomUUID(), reservedNanoUsd: costNanoUsd })).then(
        () => 'admitted',
        (error: unknown) => (error instanceof BudgetExceeded ? 'refused' : String(error)),
      ),
    ),
  );
  console.log(JSON.stringify(fates));
  // Open attempts stay open: the test counts them.
  process.exit(0);
}

/** Call after call, until it is killed. Says which ends were promised to be on record. */
async function write(books: Ledger): Promise<void> {
  const one = async (): Promise<void> => {
    for (;;) {
      const attemptId = randomUUID();
      const entry = books.begin(startOf(attemptId, { requestId: attemptId, reservedNanoUsd: 10 }));
      await entry.end(endOf({ costNanoUsd: 7 }));
      process.stdout.write(`${attemptId}\n`);
    }
  };
  await Promise.all(Array.from({ length: 20 }, one));
}
