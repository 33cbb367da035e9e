import { crc32 } from 'node:zlib';
import type { LedgerOperation } from '../../core/ledger.ts';

/** Bytes before each record: its length and its checksum, both unsigned 32-bit, big endian. */
const HEADER_BYTES = 8;
/** No operation is longer; a length above it is no length. */
const MOST_RECORD_BYTES = 1024 * 1024;

/** The operations as records of a file, one after the other. */
export function encodeFrames(operations: readonly LedgerOperation[]): Buffer {
  return Buffer.concat(operations.flatMap((operation) => frame(Buffer.from(JSON.stringify(operation)))));
}

function frame(payload: Buffer): Buffer[] {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(payload.length, 0);
  header.writeUInt32BE(crc32(payload), 4);
  return [header, payload];
}

export interface DecodedFrames {
  readonly operations: readonly LedgerOperation[];
  /** Bytes of whole, sound records. */
  readonly bytes: number;
}

/** The whole records at the beginning of the bytes; what a crash tore off at the end is left out. */
export function decodeFrames(bytes: Buffer): DecodedFrames {
  const operations: LedgerOperation[] = [];
  let offset = 0;
  for (;;) {
    const payload = payloadAt(bytes, offset);
    if (payload === null) return { operations, bytes: offset };
    operations.push(JSON.parse(payload.toString('utf8')) as LedgerOperation);
    offset += HEADER_BYTES + payload.length;
  }
}

function payloadAt(bytes: Buffer, offset: number): Buffer | null {
  if (offset + HEADER_BYTES > bytes.length) return null;
  const length = bytes.readUInt32BE(offset);
  const begin = offset + HEADER_BYTES;
  // An empty record is what a file looks like whose length was written before its bytes: zeroes.
  if (length === 0 || length > MOST_RECORD_BYTES || begin + length > bytes.length) return null;
  const payload = bytes.subarray(begin, begin + length);
  return crc32(payload) === bytes.readUInt32BE(offset + 4) ? payload : null;
}
