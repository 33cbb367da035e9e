import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Clock } from '../core/clock.ts';

/** How often the files are looked at. */
const POLL_MS = 1_000;

export interface FileWatch {
  /** Runs what reads the files: what they were before it is known then, so they are not told of again. */
  reading<Result>(read: () => Result): Result;
  stop(): void;
}

/** What a file is by, without its content; by path. */
type Signatures = ReadonlyMap<string, string>;

/**
 * Calls `onChange` once a file has changed, come or gone, and then stayed as it is for one look: an editor may write it
 * in several steps, or replace it by another. Looking is steadier than the notifications of the operating system, which
 * differ by platform and are lost on network folders.
 *
 * @param paths asked at each look: which files count may change with what one of them says
 */
export function watchFiles(paths: () => readonly string[], clock: Clock, onChange: () => void): FileWatch {
  let known = signaturesNow(paths());
  let seen = known;
  let stopped = false;
  let cancel = (): void => undefined;
  const look = async (): Promise<void> => {
    const before = known;
    // Not the synchronous call: a network folder that hangs must not stop the whole process.
    const now = await signaturesOf(paths());
    if (stopped) return;
    // What was seen before somebody read the files says nothing of what they are since.
    const isSettled = known === before && isSame(now, seen);
    seen = now;
    if (isSettled && !isSame(now, known)) {
      known = now;
      onChange();
    }
    wait();
  };
  const wait = (): void => {
    cancel = clock.after(POLL_MS, () => void look());
  };
  wait();
  return {
    reading(read) {
      const before = signaturesNow(paths());
      const result = read();
      known = new Map(paths().map((path) => [path, before.get(path) ?? signatureNow(path)]));
      return result;
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

const isSame = (a: Signatures, b: Signatures): boolean =>
  a.size === b.size && [...a].every(([path, signature]) => b.get(path) === signature);

const signaturesNow = (paths: readonly string[]): Signatures =>
  new Map(paths.map((path) => [path, signatureNow(path)]));

async function signaturesOf(paths: readonly string[]): Promise<Signatures> {
  return new Map(await Promise.all(paths.map(async (path) => [path, await signatureOf(path)] as const)));
}

function signatureNow(path: string): string {
  try {
    return words(statSync(path));
  } catch {
    return ABSENT;
  }
}

async function signatureOf(path: string): Promise<string> {
  try {
    return words(await stat(path));
  } catch {
    return ABSENT;
  }
}

const ABSENT = 'absent';
const words = ({ mtimeMs, size, ino }: { mtimeMs: number; size: number; ino: number }): string =>
  `${mtimeMs},${size},${ino}`;
