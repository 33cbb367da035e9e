import { join } from 'node:path';
import type { FileLocks, HeldLock } from '../../core/file-lock.ts';
import type { Logger } from '../../core/logger.ts';

const LOCK_FILE = 'in-use.lock';

/**
 * Holds a data folder while its store is open, and warns when another gateway holds it already. Both go on: SQLite keeps
 * the store whole, but neither is told of what the other one changes. Null: nothing is held.
 */
export function holdFolder(dataDir: string, locks: FileLocks, logger: Logger): HeldLock | null {
  const path = join(dataDir, LOCK_FILE);
  try {
    const lock = locks.take(path);
    if (lock === null) logger.warn({ dataDir }, sharedText(dataDir));
    return lock;
  } catch (error) {
    // That is no reason to refuse a start: the store could be opened.
    logger.warn({ error: String(error) }, `whether another gateway uses ${dataDir} could not be found out`);
    return null;
  }
}

function sharedText(dataDir: string): string {
  return `another gateway uses the data folder ${dataDir} too. Neither is told of what the other changes: a key that one revokes opens the other until its restart, and each counts limits for itself. Stop one of them, give one a folder of its own (SWARMROUTER_DATA_DIR), or give both one PostgreSQL (SWARMROUTER_DATABASE_URL)`;
}
