import { statSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';

/** How often the files are looked at. */
const POLL_MS = 1_000;

/**
 * Calls `onChange` once a file has changed, come or gone, and then stayed as it is for one look: an editor may write it
 * in several steps, or replace it by another. Looking is steadier than the notifications of the operating system, which
 * differ by platform and are lost on network folders.
 *
 * @returns what ends it
 */
export function watchFiles(paths: readonly string[], clock: Clock, onChange: () => void): () => void {
  let known = signature(paths);
  let seen = known;
  let cancel = (): void => undefined;
  const look = (): void => {
    const now = signature(paths);
    const isSettled = now === seen;
    seen = now;
    if (isSettled && now !== known) {
      known = now;
      onChange();
    }
    cancel = clock.after(POLL_MS, look);
  };
  cancel = clock.after(POLL_MS, look);
  return () => cancel();
}

function signature(paths: readonly string[]): string {
  return paths.map(signatureOf).join('|');
}

function signatureOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path);
    return `${mtimeMs},${size},${ino}`;
  } catch {
    return 'absent';
  }
}
