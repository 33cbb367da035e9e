import { openSync, write, writeSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { onExit } from './on-exit.ts';

/** Where log lines go. */
export interface LineOutput {
  /** Takes one line with its line feed; never blocks and never throws. */
  write(line: string): void;
  /**
   * Lines dropped since the last call, because their reader is too slow. Stays 0 until half of the room is free
   * again, so that the line that tells of them is not dropped as well.
   */
  takeDropped(): number;
  /**
   * Resolves when everything written so far has been handed to the operating system, or after a second: a reader
   * that has stopped reading must not hold up a shutdown. Never rejects.
   */
  flush(): Promise<void>;
  /** Blocks until then; for the last moments of a process. */
  flushNow(): void;
}

/** The calls to the operating system, given by tests that need a descriptor to misbehave. */
export interface LineWriter {
  write(bytes: Uint8Array, done: (error: Error | null, writtenBytes: number) => void): void;
  /** Throws what the system call reports. */
  writeNow(bytes: Uint8Array): number;
}

/** How long a line may wait for others. */
const FLUSH_AFTER_MS = 100;
/** How long a flush that somebody waits for may take. */
const FLUSH_AT_MOST_MS = 1000;
/** Lines are written as soon as they have this many characters together. */
const BATCH_CHARACTERS = 64 * 1024;
/** Beyond this many unread characters lines are dropped: a stuck log reader must not eat the memory. */
const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024;
/** A descriptor that does not block and is full is asked again after this. */
const RETRY_BUSY_MS = 10;
/** A disk that is full, or any other fault that may pass, after this. */
const RETRY_FAULT_MS = 1000;
/** At exit, how long a write that is under way in another thread may take before ours follows it. */
const UNDER_WAY_MS = 20;
/** Nobody will ever read it. */
const GONE = new Set(['EPIPE', 'EBADF', 'ECONNRESET', 'ENXIO']);

/**
 * Buffered output to an open file descriptor (1 is stdout) or a file that is appended to. Lines wait together for
 * 64 KiB or 100 ms; idle processes have no timer running. What waits is written when the process exits. Nothing is
 * ever synced to the disk: a log line is not worth a wait.
 *
 * @throws when the file cannot be opened.
 */
export function openLineOutput(destination: number | string, clock: Pick<Clock, 'after'>): LineOutput {
  return new BatchedOutput(writerOf(typeof destination === 'number' ? destination : openSync(destination, 'a')), clock);
}

function writerOf(descriptor: number): LineWriter {
  return {
    write: (bytes, done) => write(descriptor, bytes, 0, bytes.length, null, done),
    writeNow: (bytes) => writeSync(descriptor, bytes, 0, bytes.length, null),
  };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function isBusy(code: string): boolean {
  return code === 'EAGAIN' || code === 'EWOULDBLOCK';
}

/** Blocks this thread; only for the last moments of a process. */
function sleepNow(durationMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}

interface Waiter {
  readonly upTo: number;
  readonly resolve: () => void;
}

/** `openLineOutput` without the opening. */
export class BatchedOutput implements LineOutput {
  readonly #writer: LineWriter;
  readonly #clock: Pick<Clock, 'after'>;
  /** Lines since the last batch was closed. */
  #lines: string[] = [];
  #lineCharacters = 0;
  /** Closed batches, the oldest first, without the one that is being written. */
  readonly #batches: string[] = [];
  /** What is left of the batch that is being written; null: none is. */
  #current: Uint8Array | null = null;
  #currentCharacters = 0;
  /** Since when the operating system has it; null: it does not, another try is to come. */
  #underWaySinceMs: number | null = null;
  #waitingCharacters = 0;
  #dropped = 0;
  #closedBatches = 0;
  #finishedBatches = 0;
  #waiters: Waiter[] = [];
  #timerArmed = false;
  #gone = false;
  readonly #flushAtExit = (): void => this.flushNow();

  constructor(writer: LineWriter, clock: Pick<Clock, 'after'>) {
    this.#writer = writer;
    this.#clock = clock;
  }

  write(line: string): void {
    if (this.#gone) return;
    if (this.#waitingCharacters + line.length > MAX_WAITING_CHARACTERS) {
      this.#dropped++;
      return;
    }
    if (this.#waitingCharacters === 0) onExit.add(this.#flushAtExit);
    this.#waitingCharacters += line.length;
    this.#lines.push(line);
    this.#lineCharacters += line.length;
    if (this.#lineCharacters >= BATCH_CHARACTERS) this.#writeWaiting();
    else this.#armTimer();
  }

  takeDropped(): number {
    if (this.#dropped === 0 || this.#waitingCharacters > MAX_WAITING_CHARACTERS / 2) return 0;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  flush(): Promise<void> {
    this.#writeWaiting();
    const upTo = this.#closedBatches;
    if (this.#finishedBatches >= upTo) return Promise.resolve();
    return new Promise((resolve) => {
      const giveUp = this.#clock.after(FLUSH_AT_MOST_MS, resolve);
      this.#waiters.push({
        upTo,
        resolve() {
          giveUp();
          resolve();
        },
      });
    });
  }

  flushNow(): void {
    this.#closeBatch();
    if (this.#gone || !this.#awaitUnderWay()) return;
    try {
      for (let bytes = this.#current ?? this.#nextBatch(); bytes !== null; bytes = this.#nextBatch()) {
        this.#writeAllNow(bytes);
        this.#finishCurrent();
      }
    } catch {
      // The descriptor is full or gone; nobody is left to be told.
    }
  }

  /**
   * A write that another thread has begun cannot be taken back, and its end is told only to a running event loop:
   * it gets a moment. False: it has hung for so long that ours would hang as well.
   */
  #awaitUnderWay(): boolean {
    if (this.#underWaySinceMs === null) return true;
    if (performance.now() - this.#underWaySinceMs > FLUSH_AT_MOST_MS) return false;
    sleepNow(UNDER_WAY_MS);
    this.#underWaySinceMs = null;
    this.#finishCurrent();
    return true;
  }

  #writeAllNow(bytes: Uint8Array): void {
    const giveUpAtMs = performance.now() + FLUSH_AT_MOST_MS;
    for (let rest = bytes; rest.length > 0; this.#current = rest) {
      try {
        rest = rest.subarray(this.#writer.writeNow(rest));
      } catch (error) {
        if (!isBusy(codeOf(error)) || performance.now() > giveUpAtMs) throw error;
        sleepNow(RETRY_BUSY_MS);
      }
    }
  }

  #armTimer(): void {
    if (this.#timerArmed) return;
    this.#timerArmed = true;
    this.#clock.after(FLUSH_AFTER_MS, () => {
      this.#timerArmed = false;
      this.#writeWaiting();
    });
  }

  #writeWaiting(): void {
    this.#closeBatch();
    if (this.#current !== null || this.#gone) return;
    if (this.#nextBatch() !== null) this.#writeCurrent();
  }

  #closeBatch(): void {
    if (this.#lines.length === 0) return;
    this.#batches.push(this.#lines.join(''));
    this.#lines = [];
    this.#lineCharacters = 0;
    this.#closedBatches++;
  }

  #nextBatch(): Uint8Array | null {
    const batch = this.#batches.shift();
    if (batch === undefined) return null;
    this.#currentCharacters = batch.length;
    this.#current = Buffer.from(batch);
    return this.#current;
  }

  #writeCurrent(): void {
    const bytes = this.#current;
    if (bytes === null) return;
    this.#underWaySinceMs = performance.now();
    this.#writer.write(bytes, (error, writtenBytes) => {
      // Finished by `flushNow` meanwhile.
      if (this.#current !== bytes) return;
      this.#underWaySinceMs = null;
      if (error) this.#afterFault(codeOf(error));
      else if (writtenBytes < bytes.length) {
        this.#current = bytes.subarray(writtenBytes);
        this.#writeCurrent();
      } else {
        this.#finishCurrent();
        this.#writeWaiting();
      }
    });
  }

  #afterFault(code: string): void {
    if (GONE.has(code)) {
      this.#giveUp();
      return;
    }
    const delayMs = isBusy(code) ? RETRY_BUSY_MS : RETRY_FAULT_MS;
    this.#clock.after(delayMs, () => {
      if (this.#underWaySinceMs === null) this.#writeCurrent();
    });
  }

  #finishCurrent(): void {
    if (this.#current === null) return;
    this.#current = null;
    this.#waitingCharacters -= this.#currentCharacters;
    this.#finishedBatches++;
    if (this.#waitingCharacters === 0) onExit.delete(this.#flushAtExit);
    this.#settle();
  }

  #giveUp(): void {
    this.#gone = true;
    this.#current = null;
    this.#lines = [];
    this.#batches.length = 0;
    this.#finishedBatches = this.#closedBatches;
    onExit.delete(this.#flushAtExit);
    this.#settle();
  }

  #settle(): void {
    const done = this.#waiters.filter(({ upTo }) => upTo <= this.#finishedBatches);
    if (done.length === 0) return;
    this.#waiters = this.#waiters.filter(({ upTo }) => upTo > this.#finishedBatches);
    for (const { resolve } of done) resolve();
  }
}
