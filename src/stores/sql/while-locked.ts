import { StoreUnavailable } from '../../core/ledger.ts';

/** Another process holds SQLite's lock: each try waits for it a quarter of a second, so that all of them take five. */
const MOST_TRIES = 20;
/** Half a minute: another process brings a store with many calls to its version. */
export const TRIES_AT_START = 120;

/**
 * Does the work again while another process holds the lock, for a backup or a change of its own: whoever changes
 * something would rather wait a little than ask again.
 * @param work A whole transaction, which leaves nothing behind when it fails.
 * @param mostTries > 0
 */
export async function againWhileLocked<Result>(work: () => Promise<Result>, mostTries = MOST_TRIES): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const again = isLocked(error) && tries < mostTries;
      if (!again) throw error;
    }
  }
}

/** By itself, or as the reason of what is told. */
function isLocked(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return error.kind === 'locked';
  return error instanceof Error && error.cause !== undefined && isLocked(error.cause);
}
