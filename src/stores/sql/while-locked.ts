import { StoreUnavailable } from '../../core/ledger.ts';

/** Another process holds SQLite's lock: each try waits for it a quarter of a second, so that all of them take five. */
const MOST_TRIES = 20;

/**
 * Does the work again while another process holds the lock, for a backup or a change of its own: whoever changes
 * something would rather wait a little than ask again.
 * @param work A whole transaction, which leaves nothing behind when it fails.
 */
export async function againWhileLocked<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const again = error instanceof StoreUnavailable && error.kind === 'locked' && tries < MOST_TRIES;
      if (!again) throw error;
    }
  }
}
