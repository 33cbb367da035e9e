import { RevisionConflict } from './key-store.ts';

/** Others that change the same thing at once. */
const MOST_TRIES = 20;

/**
 * Changes what is there now: whoever asked for no certain revision does not mind that somebody else was quicker.
 * @param revision the one that was asked for; null: none. Then `change` reads and changes anew after each conflict.
 */
export async function againOnConflict<Changed>(
  revision: number | null,
  change: () => Promise<Changed>,
): Promise<Changed> {
  for (let tries = 1; ; tries++) {
    try {
      return await change();
    } catch (error) {
      if (revision !== null || !(error instanceof RevisionConflict) || tries >= MOST_TRIES) throw error;
    }
  }
}
