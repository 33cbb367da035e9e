import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LedgerOperation } from '../../core/ledger.ts';
import { decodeFrames, encodeFrames } from './spill-frames.ts';

const NAME = /^ledger-spill-(.+?)(?:\.adopted)?\.log$/;
const OWNER_ONLY_FILE = 0o600;
const OWNER_ONLY_FOLDER = 0o700;
/** Read at once; longer than any record. */
const PART_BYTES = 2 * 1024 * 1024;

/** The file may not grow any more. */
export class SpillFull extends Error {
  override readonly name = 'SpillFull';
}

/** The folder of the files. Not made anew while the process runs: one that is gone (a disk that was taken out) comes back. */
export async function makeSpillFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
}

/** Where operations are kept while the store takes nothing: on the disk before `append` resolves. Calls must not overlap. */
export class SpillFile {
  readonly #path: string;
  readonly #mostBytes: number;
  #file: FileHandle | null = null;
  #bytes = 0;

  constructor(folder: string, ownerId: string, mostBytes: number) {
    this.#path = join(folder, `ledger-spill-${ownerId}.log`);
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Rejects when the file is full or cannot be written; then nothing of it is in the file. */
  async append(operations: readonly LedgerOperation[]): Promise<void> {
    const frames = encodeFrames(operations);
    await this.#write(frames);
    // Another process may have taken the file along between our opening it and the write (see adoptSpills): then it
    // may not have seen this record.
    if (!(await this.#isOurs())) {
      await this.#forget();
      await this.#write(frames);
    }
  }

  /** The operations after `offset` bytes, some at a time; none: that was all. */
  async read(
    offset: number,
  ): Promise<{ readonly operations: readonly LedgerOperation[]; readonly nextOffset: number }> {
    if (this.#file === null || offset >= this.#bytes) return { operations: [], nextOffset: offset };
    const part = Buffer.alloc(Math.min(PART_BYTES, this.#bytes - offset));
    const { bytesRead } = await this.#file.read(part, 0, part.length, offset);
    const { operations, bytes } = decodeFrames(part.subarray(0, bytesRead));
    return { operations, nextOffset: offset + bytes };
  }

  /** The store has all of it. */
  async clear(): Promise<void> {
    if (this.#file === null) return;
    await this.#forget();
    await rm(this.#path, { force: true });
  }

  /** What is in it stays, for the next process. */
  async close(): Promise<void> {
    await this.#forget();
  }

  async #write(frames: Buffer): Promise<void> {
    const file = await this.#opened();
    if (this.#bytes + frames.length > this.#mostBytes) {
      throw new SpillFull(`${this.#path} has reached ${this.#mostBytes} bytes`);
    }
    try {
      await writeAll(file, frames, this.#bytes);
      await file.datasync();
    } catch (error) {
      // Half a record in the middle would hide what comes after it.
      await file.truncate(this.#bytes).catch(() => undefined);
      throw error;
    }
    this.#bytes += frames.length;
  }

  async #opened(): Promise<FileHandle> {
    if (this.#file !== null) return this.#file;
    this.#file = await open(this.#path, 'w+', OWNER_ONLY_FILE);
    this.#bytes = 0;
    return this.#file;
  }

  async #isOurs(): Promise<boolean> {
    const [ours, named] = await Promise.all([this.#file?.stat(), stat(this.#path).catch(() => null)]);
    return named !== null && ours?.ino === named.ino;
  }

  async #forget(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = null;
    this.#bytes = 0;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/** The owners whose files lie in the folder. */
export async function spillOwners(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return [...new Set(names.flatMap((name) => NAME.exec(name)?.[1] ?? []))];
}

/**
 * Hands on what a dead process left. The files are renamed before they are read: one that still lives sees that and
 * begins a new file. What is handed on twice does no harm, so a crash in between does none.
 */
export async function adoptSpills(
  folder: string,
  ownerId: string,
  handOn: (operations: readonly LedgerOperation[]) => Promise<void>,
): Promise<number> {
  const adopted = join(folder, `ledger-spill-${ownerId}.adopted.log`);
  let count = await handOnFile(adopted, handOn);
  const left = await rename(join(folder, `ledger-spill-${ownerId}.log`), adopted).then(
    () => true,
    () => false,
  );
  if (left) count += await handOnFile(adopted, handOn);
  return count;
}

async function handOnFile(
  path: string,
  handOn: (operations: readonly LedgerOperation[]) => Promise<void>,
): Promise<number> {
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return 0;
  let [count, offset] = [0, 0];
  try {
    const part = Buffer.alloc(PART_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(part, 0, part.length, offset);
      const { operations, bytes } = decodeFrames(part.subarray(0, bytesRead));
      if (operations.length === 0) break;
      await handOn(operations);
      count += operations.length;
      offset += bytes;
    }
  } finally {
    await file.close();
  }
  await rm(path, { force: true });
  return count;
}
