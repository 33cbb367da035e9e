import { crc32 } from 'node:zlib';
import type { LedgerOperation } from '../../core/ledger.ts';
import { decodeOperations, encodeOperations, leavesOpen } from '../../core/ledger-text.ts';

/** Bytes before each record: its length and its checksum, both unsigned 32-bit, big endian. */
const HEADER_BYTES = 8;
/** No record is longer; a length above it is no length. */
const MOST_RECORD_BYTES = 1024 * 1024;
/** At the beginning of a file: what it is, its generation, and the checksum of both. */
const MAGIC = 0x53_57_52_4a;
export const FILE_HEADER_BYTES = 12;

/**
 * A file is written again from its beginning once the store has what is in it. Its generation tells what is written
 * since then from what is left of before: it is part of each checksum.
 */
export function fileHeader(generation: number): Buffer {
  const header = Buffer.alloc(FILE_HEADER_BYTES);
  header.writeUInt32BE(MAGIC, 0);
  header.writeUInt32BE(generation, 4);
  header.writeUInt32BE(crc32(header.subarray(0, 8)), 8);
  return header;
}

/** The generation of a file that begins with these bytes; null: it is none of ours, or nothing was written yet. */
export function generationOf(bytes: Buffer): number | null {
  if (bytes.length < FILE_HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC) return null;
  return crc32(bytes.subarray(0, 8)) === bytes.readUInt32BE(8) ? bytes.readUInt32BE(4) : null;
}

/** Operations in one record: what is written together is whole or not there. */
const MOST_IN_RECORD = 200;
/** Of a record's text, in UTF-16 units: three bytes each at the most, so that the record is one of those that are read. */
const MOST_TEXT = MOST_RECORD_BYTES / 4;

/** What is in a record. */
export interface JournalRecord {
  /** Of its operations: see `decodeOperations`. */
  readonly text: string;
  readonly count: number;
  /** There is a start among them whose end is not beside it. */
  readonly leavesOpen: boolean;
}

/** The operations as records, one after the other. */
export function recordsOf(operations: readonly LedgerOperation[]): readonly JournalRecord[] {
  const text = operations.length > MOST_IN_RECORD ? null : encodeOperations(operations);
  if (text !== null && (text.length <= MOST_TEXT || operations.length === 1)) {
    return [{ text, count: operations.length, leavesOpen: leavesOpen(operations) }];
  }
  const middle = Math.ceil(operations.length / 2);
  return [...recordsOf(operations.slice(0, middle)), ...recordsOf(operations.slice(middle))];
}

/** The records as bytes of a file. */
export function encodeFrames(records: readonly JournalRecord[], generation: number): Buffer {
  const lengths = records.map(({ text }) => Buffer.byteLength(text));
  const frames = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + HEADER_BYTES + length, 0));
  let offset = 0;
  for (const { text } of records) {
    const begin = offset + HEADER_BYTES;
    const end = begin + frames.write(text, begin);
    frames.writeUInt32BE(end - begin, offset);
    frames.writeUInt32BE(crc32(frames.subarray(begin, end), generation), offset + 4);
    offset = end;
  }
  return frames;
}

export interface DecodedFrames {
  readonly operations: readonly LedgerOperation[];
  /** Bytes of whole, sound records. */
  readonly bytes: number;
}

/** The whole records at the beginning of the bytes; what a crash tore off at the end is left out. */
export function decodeFrames(bytes: Buffer, generation: number): DecodedFrames {
  const operations: LedgerOperation[] = [];
  let offset = 0;
  for (;;) {
    const payload = payloadAt(bytes, offset, generation);
    if (payload === null) return { operations, bytes: offset };
    operations.push(...decodeOperations(payload.toString('utf8')));
    offset += HEADER_BYTES + payload.length;
  }
}

function payloadAt(bytes: Buffer, offset: number, generation: number): Buffer | null {
  if (offset + HEADER_BYTES > bytes.length) return null;
  const length = bytes.readUInt32BE(offset);
  const begin = offset + HEADER_BYTES;
  // An empty record is what a file looks like whose length was written before its bytes: zeroes.
  if (length === 0 || length > MOST_RECORD_BYTES || begin + length > bytes.length) return null;
  const payload = bytes.subarray(begin, begin + length);
  return crc32(payload, generation) === bytes.readUInt32BE(offset + 4) ? payload : null;
}
