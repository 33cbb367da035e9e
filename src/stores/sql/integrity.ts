import type { Clock } from '../../core/clock.ts';
import { StoreClosed } from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import type { SqlStore } from './sql-store.ts';

/** A start waits so long for the check at the most: a store of a hundred thousand calls is read in less. */
const PATIENCE_MS = 300;
/** A larger file is not read within that time, and reading it takes as much of the processor as the start itself. */
const MOST_BYTES_AT_START = 64 * 1024 * 1024;
const LATER_MS = 3_000;

/**
 * Rejects when the store is damaged. A large one is read to its end in the background, on a thread of its own, once the
 * gateway has started, and what is wrong with it is logged then.
 */
export async function refuseDamaged(store: SqlStore, clock: Clock, logger: Logger): Promise<void> {
  if (store.fileBytes() > MOST_BYTES_AT_START) {
    clock.after(LATER_MS, () => sayLate(store.checkIntegrity(), logger));
    return;
  }
  const check = store.checkIntegrity();
  const patience = new Promise<null>((resolve) => {
    const cancel = clock.after(PATIENCE_MS, () => resolve(null));
    check.then(cancel, cancel);
  });
  const findings = await Promise.race([check, patience]);
  if (findings !== null) {
    if (findings.length > 0) throw new Error(damageText(findings));
    return;
  }
  sayLate(check, logger);
}

function sayLate(check: Promise<readonly string[]>, logger: Logger): void {
  check.then(
    (late) => {
      if (late.length > 0) logger.error({ findings: late.slice(0, 3) }, damageText(late));
    },
    (error: unknown) => {
      // The next start looks again.
      if (error instanceof StoreClosed) return;
      const problem = error instanceof Error ? error.message : String(error);
      logger.error({ problem }, 'whether the store is damaged could not be found out');
    },
  );
}

function damageText(findings: readonly string[]): string {
  return `the store is damaged (${findings.length} findings, the first: ${findings[0]}). Stop the gateway, keep a copy of the data folder, and put swarmrouter.db back from a backup without its -wal and -shm files; or save what can be read: sqlite3 swarmrouter.db .recover | sqlite3 new.db`;
}
