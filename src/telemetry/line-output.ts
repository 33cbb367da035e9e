import { pino } from 'pino';
import type { Clock } from '../core/clock.ts';

/** Where log lines go. */
export interface LineOutput {
  /** Takes one line with its line feed; never blocks. */
  write(line: string): void;
  /**
   * Resolves when everything written so far has been handed to the operating system, or after a second: a reader
   * that has stopped reading must not hold up a shutdown. Never rejects.
   */
  flush(): Promise<void>;
  /** Blocks until then; for the last moments of a process. */
  flushNow(): void;
}

/** How long a line may sit in the buffer. */
const FLUSH_AFTER_MS = 100;
/** How long a flush that somebody waits for may take. */
const FLUSH_AT_MOST_MS = 1000;
/** The buffer is written as soon as it holds this much. */
const FLUSH_AT_BYTES = 8 * 1024;
/** Beyond this much unread output lines are dropped: a stuck log reader must not eat the memory. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/**
 * Buffered output to an open file descriptor (1 is stdout) or a file. Idle processes have no timer running: it is
 * armed by the first line after a flush. Flushed on exit by pino.
 */
export function openLineOutput(destination: number | string, clock: Pick<Clock, 'after'>): LineOutput {
  const buffer = pino.destination({
    dest: destination,
    sync: false,
    minLength: FLUSH_AT_BYTES,
    maxLength: MAX_WAITING_BYTES,
  });
  // Nobody can be told that the log cannot be written, and a full disk must not stop the service.
  buffer.on('error', () => undefined);
  const tryFlush = (then: () => void): void => {
    try {
      buffer.flush(then);
    } catch {
      // Closed because its reader is gone.
      then();
    }
  };
  let armed = false;
  const flushSoon = (): void => {
    if (armed) return;
    armed = true;
    clock.after(FLUSH_AFTER_MS, () => {
      armed = false;
      tryFlush(() => undefined);
    });
  };
  return {
    write(line) {
      buffer.write(line);
      flushSoon();
    },
    flush: () =>
      new Promise((resolve) => {
        const giveUp = clock.after(FLUSH_AT_MOST_MS, resolve);
        tryFlush(() => {
          giveUp();
          resolve();
        });
      }),
    flushNow() {
      try {
        buffer.flushSync();
      } catch {
        // The descriptor is not open yet or already gone; there is nothing left to write to.
      }
    },
  };
}
