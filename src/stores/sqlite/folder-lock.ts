import { join } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import type { FileLocks, HeldLock } from '../../core/file-lock.ts';
import type { Logger } from '../../core/logger.ts';

const LOCK_FILE = 'in-use.lock';

/** How soon after the end of the other gateway a third one is told of this one. */
const TRY_AGAIN_MS = 5_000;

/**
 * Holds a data folder while its store is open, and warns when another gateway holds it already. Both go on: SQLite keeps
 * the store whole, but neither is told of what the other one changes. Then it is held as soon as the other one ends, so
 * that whoever comes next is warned. Null: nothing is held, and will not be.
 */
export function holdFolder(
  dataDir: string,
  locks: FileLocks,
  clock: Pick<Clock, 'after'>,
  logger: Logger,
): HeldLock | null {
  const path = join(dataDir, LOCK_FILE);
  try {
    const lock = locks.take(path);
    if (lock !== null) return lock;
    logger.warn({ dataDir }, sharedText(dataDir));
    return new HeldLater(() => locks.take(path), clock);
  } catch (error) {
    // That is no reason to refuse a start: the store could be opened.
    logger.warn({ error: String(error) }, `whether another gateway uses ${dataDir} could not be found out`);
    return null;
  }
}

/** A lock that another process has; ours when that one ends. */
class HeldLater implements HeldLock {
  readonly #take: () => HeldLock | null;
  readonly #clock: Pick<Clock, 'after'>;
  #lock: HeldLock | null = null;
  #cancel: () => void = () => undefined;

  constructor(take: () => HeldLock | null, clock: Pick<Clock, 'after'>) {
    this.#take = take;
    this.#clock = clock;
    this.#tryLater();
  }

  release(): void {
    this.#cancel();
    this.#lock?.release();
  }

  #tryLater(): void {
    this.#cancel = this.#clock.after(TRY_AGAIN_MS, () => {
      try {
        this.#lock = this.#take();
      } catch {
        // A folder that is away now may come back.
      }
      if (this.#lock === null) this.#tryLater();
    });
  }
}

function sharedText(dataDir: string): string {
  return `another gateway uses the data folder ${dataDir} too. Neither is told of what the other changes: a key that one revokes opens the other until its restart, and each counts limits for itself. Stop one of them, give one a folder of its own (SWARMROUTER_DATA_DIR), or give both one PostgreSQL (SWARMROUTER_DATABASE_URL)`;
}
