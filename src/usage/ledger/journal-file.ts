import { constants, fdatasync, write } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import type { LedgerOperation } from '../../core/ledger.ts';
import {
  decodeFrames,
  encodeFrames,
  FILE_HEADER_BYTES,
  fileHeader,
  generationOf,
  type JournalRecord,
} from './journal-frames.ts';

/** A write returns when it is on the disk. Elsewhere such writes do not exist, or promise less. */
const WRITES_WAIT = process.platform === 'linux';
const OWNER_ONLY_FILE = 0o600;
/** Read at once; longer than any record. */
const PART_BYTES = 2 * 1024 * 1024;
/** Kept on the disk for the next operations: writing over bytes that are there costs half of making a file longer. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** The file may not grow any more. */
export class JournalFull extends Error {
  override readonly name = 'JournalFull';
}

/** Records on the disk before `append` resolves. Calls must not overlap. */
export class JournalFile {
  readonly #path: string;
  #file: FileHandle | null = null;
  #bytes = 0;
  #generation = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Of what is in it; not the length of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From its beginning, over what the store has. `generation`: one that this owner has not used, > 0. */
  async begin(generation: number): Promise<void> {
    if (this.#bytes > KEPT_BYTES) await this.#file?.truncate(0).catch(() => undefined);
    this.#bytes = 0;
    this.#generation = generation;
  }

  /** Rejects when it cannot be written, or would be longer than `mostBytes`; then nothing of it is in the file. */
  async append(records: readonly JournalRecord[], mostBytes: number): Promise<void> {
    const frames = encodeFrames(records, this.#generation);
    const bytes = this.#bytes === 0 ? Buffer.concat([fileHeader(this.#generation), frames]) : frames;
    if (this.#bytes + bytes.length > mostBytes) {
      throw new JournalFull(`${this.#path} may not grow: usage that the store has not taken has ${mostBytes} bytes`);
    }
    const file = await this.#opened();
    try {
      await writeDurably(file.fd, bytes, this.#bytes);
    } catch (error) {
      // What was written of it must not come back: its callers are told another story.
      await file.truncate(this.#bytes).catch(() => undefined);
      throw error;
    }
    this.#bytes += bytes.length;
  }

  /** Some operations from `offset` bytes on; none: that was all. `offset` 0: from the beginning. */
  async read(
    offset: number,
  ): Promise<{ readonly operations: readonly LedgerOperation[]; readonly nextOffset: number }> {
    const begin = offset === 0 ? FILE_HEADER_BYTES : offset;
    if (this.#file === null || begin >= this.#bytes) return { operations: [], nextOffset: begin };
    const part = await readPart(this.#file, begin, Math.min(PART_BYTES, this.#bytes - begin));
    const { operations, bytes } = decodeFrames(part, this.#generation);
    return { operations, nextOffset: begin + bytes };
  }

  /**
   * Whether the file is still where it was made: one in a folder that was taken away would be found by nobody. A disk
   * that cannot even say so has lost it.
   */
  async isInPlace(): Promise<boolean> {
    if (this.#file === null) return true;
    const [ours, named] = await Promise.all([this.#file.stat().catch(() => null), stat(this.#path).catch(() => null)]);
    return ours !== null && named !== null && ours.ino === named.ino;
  }

  /** What is in it stays, for the next process. */
  async close(): Promise<void> {
    await this.#file?.close().catch(() => undefined);
    this.#file = null;
    this.#bytes = 0;
  }

  /** The store has all of it. */
  async remove(): Promise<void> {
    const wasMade = this.#file !== null;
    await this.close();
    if (wasMade) await rm(this.#path, { force: true });
  }

  async #opened(): Promise<FileHandle> {
    const { O_RDWR, O_CREAT, O_TRUNC, O_DSYNC } = constants;
    this.#file ??= await open(this.#path, O_RDWR | O_CREAT | O_TRUNC | (WRITES_WAIT ? O_DSYNC : 0), OWNER_ONLY_FILE);
    return this.#file;
  }
}

/** Each trip to the threads that wait for the disk costs as much as the write itself: there is one. */
async function writeDurably(fd: number, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += await writeSome(fd, bytes.subarray(written), position + written);
  }
  if (!WRITES_WAIT)
    await new Promise<void>((resolve, reject) =>
      fdatasync(fd, (error) => (error === null ? resolve() : reject(error))),
    );
}

function writeSome(fd: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, position, (error, written) =>
      error === null ? resolve(written) : reject(error),
    );
  });
}

async function readPart(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const part = Buffer.alloc(length);
  const { bytesRead } = await file.read(part, 0, length, offset);
  return part.subarray(0, bytesRead);
}

/** What a process that is dead left in a file. */
export interface LeftFile {
  readonly path: string;
  /** Which of an owner's files is older. */
  readonly generation: number;
}

/** Null: nothing was written to it. */
export async function leftFile(path: string): Promise<LeftFile | null> {
  const file = await open(path, 'r').catch(() => null);
  if (file === null) return null;
  try {
    const generation = generationOf(await readPart(file, 0, FILE_HEADER_BYTES));
    return generation === null ? null : { path, generation };
  } finally {
    await file.close();
  }
}

/** Its operations, a part at a time, up to where a crash tore it. */
export async function* readLeft({ path, generation }: LeftFile): AsyncGenerator<readonly LedgerOperation[]> {
  const file = await open(path, 'r');
  try {
    for (let offset = FILE_HEADER_BYTES; ; ) {
      const { operations, bytes } = decodeFrames(await readPart(file, offset, PART_BYTES), generation);
      if (operations.length === 0) return;
      yield operations;
      offset += bytes;
    }
  } finally {
    await file.close();
  }
}
