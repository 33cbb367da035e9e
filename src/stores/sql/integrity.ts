import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { SqlStore } from './sql-store.ts';

/** A start waits so long for the check at the most: a store of a hundred thousand calls is read in less. */
const PATIENCE_MS = 300;

/**
 * Rejects when the store is damaged. A large one is read to its end in the background, on the thread of reports, and
 * what is wrong with it is logged then.
 */
export async function refuseDamaged(store: SqlStore, clock: Clock, logger: Logger): Promise<void> {
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
  check.then(
    (late) => {
      if (late.length > 0) logger.error({ findings: late.slice(0, 3) }, damageText(late));
    },
    // Closed meanwhile: the next start looks again.
    () => undefined,
  );
}

function damageText(findings: readonly string[]): string {
  return `the store is damaged (${findings.length} findings, the first: ${findings[0]}). Stop the gateway, keep a copy of the data folder, and put swarmrouter.db back from a backup without its -wal and -shm files; or save what can be read: sqlite3 swarmrouter.db .recover | sqlite3 new.db`;
}
