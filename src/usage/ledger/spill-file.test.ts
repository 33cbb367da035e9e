import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFile, mkdtemp, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { ending, starting } from '../../../test/contract/store-support.ts';
import type { LedgerOperation } from '../../core/ledger.ts';
import { adoptSpills, SpillFile, spillOwners } from './spill-file.ts';
import { decodeFrames, encodeFrames } from './spill-frames.ts';

const MEGABYTE = 1024 * 1024;
const OPERATIONS: LedgerOperation[] = [starting('ä'), ending('ä'), starting('b', { model: '日本語 🎈' })];

describe('records of a spill', () => {
  test('come back whole up to the place where the file was torn', () => {
    const whole = encodeFrames(OPERATIONS);
    const ends = OPERATIONS.map((_, index) => encodeFrames(OPERATIONS.slice(0, index + 1)).length);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      const count = ends.filter((end) => end <= bytes).length;
      expect(decodeFrames(whole.subarray(0, bytes))).toEqual({
        operations: OPERATIONS.slice(0, count),
        bytes: count === 0 ? 0 : (ends[count - 1] as number),
      });
    }
  });

  test('end at a byte that is not the one that was written, and never come back changed', () => {
    const whole = encodeFrames(OPERATIONS);
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] as number) ^ change;
        const { operations } = decodeFrames(damaged);
        expect(operations.length).toBeLessThan(OPERATIONS.length);
        expect(operations).toEqual(OPERATIONS.slice(0, operations.length));
      }),
    );
  });

  test('are none in zeroes and in strangers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeFrames(Buffer.from(bytes)).operations).toEqual([]);
      }),
    );
    expect(decodeFrames(Buffer.alloc(64))).toEqual({ operations: [], bytes: 0 });
  });
});

describe('the spill file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmrouter-spill-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const path = (owner: string): string => join(folder, `ledger-spill-${owner}.log`);
  async function written(owner: string, operations: readonly LedgerOperation[]): Promise<void> {
    const file = new SpillFile(folder, owner, 64 * MEGABYTE);
    await file.append(operations);
    await file.close();
  }
  async function adopted(owner: string): Promise<LedgerOperation[]> {
    const found: LedgerOperation[] = [];
    await adoptSpills(folder, owner, async (operations) => void found.push(...operations));
    return found;
  }

  test('gives back in order what was appended, is its owner’s alone, and is gone when it is cleared', async () => {
    const file = new SpillFile(folder, 'me', MEGABYTE);
    await file.append(OPERATIONS.slice(0, 1));
    await file.append(OPERATIONS.slice(1));
    expect((await stat(path('me'))).mode & 0o777).toBe(0o600);
    const { operations, nextOffset } = await file.read(0);
    expect(operations).toEqual(OPERATIONS);
    expect(await file.read(nextOffset)).toEqual({ operations: [], nextOffset });
    await file.clear();
    expect([await readdir(folder), file.bytes]).toEqual([[], 0]);
    await file.append(OPERATIONS);
    expect((await file.read(0)).operations).toEqual(OPERATIONS);
    await file.close();
  });

  test('does not grow beyond its limit, and keeps what it has', async () => {
    const size = encodeFrames(OPERATIONS).length;
    const file = new SpillFile(folder, 'me', size + 10);
    await file.append(OPERATIONS);
    await expect(file.append(OPERATIONS)).rejects.toThrow('has reached');
    expect((await stat(path('me'))).size).toBe(size);
    expect((await file.read(0)).operations).toEqual(OPERATIONS);
    await file.close();
  });

  test('of a dead process is handed on without its torn end, and then gone', async () => {
    await written('dead', OPERATIONS);
    await truncate(path('dead'), (await stat(path('dead'))).size - 3);
    expect(await spillOwners(folder)).toEqual(['dead']);
    expect(await adopted('dead')).toEqual(OPERATIONS.slice(0, 2));
    expect(await readdir(folder)).toEqual([]);
  });

  test('stays when nobody takes it, and is handed on by the next one who tries', async () => {
    await written('dead', OPERATIONS);
    await expect(adoptSpills(folder, 'dead', () => Promise.reject(new Error('no store')))).rejects.toThrow('no store');
    expect(await spillOwners(folder)).toEqual(['dead']);
    expect(await adopted('dead')).toEqual(OPERATIONS);
  });

  test('is begun anew when another process took it for a dead one’s: nothing is in neither', async () => {
    const file = new SpillFile(folder, 'alive', MEGABYTE);
    await file.append(OPERATIONS.slice(0, 1));
    expect(await adopted('alive')).toEqual(OPERATIONS.slice(0, 1));
    await file.append(OPERATIONS.slice(1));
    expect(await adopted('alive')).toEqual(OPERATIONS.slice(1));
    await file.close();
  });

  test('is handed on in parts when it is long', async () => {
    const many = Array.from({ length: 8_000 }, (_, index) => starting(`a${index}`));
    await written('dead', many);
    expect(await adopted('dead')).toEqual(many);
  });

  test('is not mistaken for other files', async () => {
    await writeFile(join(folder, 'learned.json'), '{}');
    await appendFile(join(folder, 'ledger-spill-x.adopted.log'), encodeFrames(OPERATIONS));
    expect(await spillOwners(folder)).toEqual(['x']);
    expect(await adopted('x')).toEqual(OPERATIONS);
    expect(await readFile(join(folder, 'learned.json'), 'utf8')).toBe('{}');
    await rename(join(folder, 'learned.json'), join(folder, 'other.json'));
    expect(await spillOwners(join(folder, 'missing'))).toEqual([]);
  });
});
