import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { ending, starting, startOf } from '../../../test/contract/store-support.ts';
import { closeUnderneath } from '../../../test/support/close-underneath.ts';
import type { LedgerBatch, LedgerOperation } from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import { adoptJournal, journalOwners } from './adopt-journals.ts';
import { startOperation } from './attempts.ts';
import { Journal, journalFiles } from './journal.ts';
import { decodeFrames, encodeFrames, fileHeader, generationOf, recordsOf } from './journal-frames.ts';

const MEGABYTE = 1024 * 1024;
const OPERATIONS: LedgerOperation[] = [starting('ä'), ending('ä'), starting('b', { model: '日本語 🎈' })];

/** As if each had been written by itself. */
const framesOf = (operations: readonly LedgerOperation[], generation: number): Buffer =>
  encodeFrames(
    operations.flatMap((operation) => recordsOf([operation])),
    generation,
  );

describe('records of a journal', () => {
  test('come back whole up to the place where the file was torn', () => {
    const whole = framesOf(OPERATIONS, 7);
    const ends = OPERATIONS.map((_, index) => framesOf(OPERATIONS.slice(0, index + 1), 7).length);
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      const count = ends.filter((end) => end <= bytes).length;
      expect(decodeFrames(whole.subarray(0, bytes), 7)).toEqual({
        operations: OPERATIONS.slice(0, count),
        bytes: count === 0 ? 0 : (ends[count - 1] as number),
      });
    }
  });

  test('end at a byte that is not the one that was written, and never come back changed', () => {
    const whole = framesOf(OPERATIONS, 7);
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] as number) ^ change;
        const { operations } = decodeFrames(damaged, 7);
        expect(operations.length).toBeLessThan(OPERATIONS.length);
        expect(operations).toEqual(OPERATIONS.slice(0, operations.length));
      }),
    );
  });

  test('are none in zeroes and in strangers', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeFrames(Buffer.from(bytes), 7).operations).toEqual([]);
      }),
    );
    expect(decodeFrames(Buffer.alloc(64), 7)).toEqual({ operations: [], bytes: 0 });
  });

  test('that were written together come back together or not at all', () => {
    const whole = encodeFrames(recordsOf(OPERATIONS), 7);
    expect(decodeFrames(whole, 7)).toEqual({ operations: OPERATIONS, bytes: whole.length });
    for (let bytes = 0; bytes < whole.length; bytes++) {
      expect(decodeFrames(whole.subarray(0, bytes), 7)).toEqual({ operations: [], bytes: 0 });
    }
  });

  test('are never longer than what is read again, however many and however long the operations are', () => {
    const long = Array.from({ length: 500 }, (_, index) => starting(`a${index}`, { model: '日'.repeat(3_000) }));
    const records = recordsOf(long);
    expect(records.length).toBeGreaterThan(3);
    expect(records.reduce((sum, { count }) => sum + count, 0)).toBe(500);
    expect(decodeFrames(encodeFrames(records, 7), 7).operations).toEqual(long);
  });

  test('of an earlier version of this program, an operation each, are read', () => {
    const records = OPERATIONS.map((operation) => ({ text: JSON.stringify(operation), count: 1, leavesOpen: true }));
    expect(decodeFrames(encodeFrames(records, 7), 7).operations).toEqual(OPERATIONS);
  });

  test('of an earlier generation are none of a later one, though they lie where it goes on', () => {
    const older = framesOf(OPERATIONS, 1);
    const newer = framesOf(OPERATIONS.slice(0, 1), 2);
    newer.copy(older);
    expect(decodeFrames(older, 2).operations).toEqual(OPERATIONS.slice(0, 1));
    expect(generationOf(fileHeader(2))).toBe(2);
    expect(generationOf(Buffer.alloc(64))).toBeNull();
  });
});

const silent = (): void => undefined;
const logger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

describe('a journal', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarmrouter-journal-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const journalOf = (owner: string, mostBytes = 64 * MEGABYTE): Journal =>
    new Journal(folder, owner, mostBytes, logger);
  async function handedOn(journal: Journal, ...carried: string[]): Promise<LedgerOperation[]> {
    const found: LedgerOperation[] = [];
    const starts = () => carried.map((name) => startOperation(startOf(name)));
    await journal.handOn(async (operations) => void found.push(...operations), { starts, done: silent });
    return found;
  }
  /** What an heir is told; the ends of what was left open apart. */
  async function adopted(owner: string, from = folder) {
    const [operations, ends]: [LedgerOperation[], LedgerOperation[]] = [[], []];
    await adoptJournal(from, owner, 5, {
      takeOver: async (some) => void operations.push(...some),
      takeOverOpen: async (some) => void ends.push(...some),
    });
    return { operations, ends: ends.map((end) => (end.kind === 'end' ? `${end.attemptId} ${end.end.state}` : '')) };
  }

  test('hands on in order what was appended, once, and is its owner’s alone', async () => {
    const journal = journalOf('me');
    expect(await journal.append(OPERATIONS.slice(0, 1))).toBe(true);
    expect(await journal.append(OPERATIONS.slice(1))).toBe(true);
    expect((await stat(journalFiles(folder, 'me')[0])).mode & 0o777).toBe(0o600);
    expect(journal.waiting).toBe(3);
    expect(await handedOn(journal)).toEqual(OPERATIONS);
    expect([journal.waiting, await handedOn(journal)]).toEqual([0, []]);
    await journal.close();
    expect(await readdir(folder)).toEqual([]);
  });

  test('takes what comes while it is handed on, and uses its two files in turn', async () => {
    const journal = journalOf('me');
    for (let round = 0; round < 5; round++) {
      await journal.append([starting(`a${round}`)]);
      let during = Promise.resolve(true);
      await journal.handOn(async (operations) => {
        if (operations.length > 0 && round < 4) during = journal.append([starting(`during ${round}`)]);
      });
      expect(await during).toBe(true);
    }
    expect((await readdir(folder)).length).toBe(2);
    await journal.close();
  });

  test('writes the starts of what goes on to its other file instead of handing them on', async () => {
    const journal = journalOf('me');
    await journal.append([starting('short', {}, false), starting('goes on', {}, false), ending('short')]);
    expect(await handedOn(journal, 'goes on')).toEqual([starting('short', {}, false), ending('short')]);
    await journal.append([ending('goes on')]);
    await journal.append([starting('open', {}, false)]);
    const { operations, ends } = await adopted('me');
    // Before them comes once more what the store has already: its file is written over only when it is needed.
    expect(operations.slice(3)).toEqual([
      starting('goes on', {}, false),
      ending('goes on'),
      starting('open', {}, false),
    ]);
    expect(ends).toEqual(['open unknown']);
    await journal.close();
  });

  test('keeps what the store did not take, goes on where it stopped, and hands on older things first', async () => {
    const journal = journalOf('me');
    const many = Array.from({ length: 3_000 }, (_, index) => starting(`a${index}`));
    await journal.append(many);
    const taken: LedgerOperation[] = [];
    const failing = journal.handOn(async (operations) => {
      if (taken.length > 0) throw new Error('no store');
      taken.push(...operations);
    });
    await expect(failing).rejects.toThrow('no store');
    await journal.append([starting('later')]);
    expect([...taken, ...(await handedOn(journal))]).toEqual([...many, starting('later')]);
    await journal.close();
  });

  test('reads from its file again what is too much for memory', async () => {
    const journal = journalOf('me');
    const many = Array.from({ length: 25_000 }, (_, index) => starting(`a${index}`));
    for (let begin = 0; begin < many.length; begin += 1_000) await journal.append(many.slice(begin, begin + 1_000));
    expect(await handedOn(journal)).toEqual(many);
    await journal.close();
  });

  test('does not grow beyond its limit, and keeps what it has', async () => {
    const journal = journalOf('me', encodeFrames(recordsOf(OPERATIONS), 1).length + 20);
    expect(await journal.append(OPERATIONS)).toBe(true);
    expect(await journal.append(OPERATIONS)).toBe(false);
    expect(journal.fileProblem).toContain('may not grow');
    expect(await handedOn(journal)).toEqual(OPERATIONS);
    await journal.close();
  });

  test('that is torn at any byte gives its heir all that was whole, in order, and an end to what was open', async () => {
    const journal = journalOf('dead');
    await journal.append([starting('a', {}, false), ending('a')]);
    await handedOn(journal);
    for (const operation of [starting('b', {}, false), ending('b'), starting('c', {}, false)]) {
      await journal.append([operation]);
    }
    const [, path] = journalFiles(folder, 'dead');
    const whole = await readFile(path);
    const torn = join(folder, 'torn');
    const seen = new Set<string>();
    for (let bytes = 0; bytes <= whole.length; bytes++) {
      await mkdir(torn, { recursive: true });
      await writeFile(journalFiles(torn, 'dead')[1], whole.subarray(0, bytes));
      const { operations, ends } = await adopted('dead', torn);
      expect(operations).toEqual(
        [starting('b', {}, false), ending('b'), starting('c', {}, false)].slice(0, operations.length),
      );
      seen.add(`${operations.length} ${ends.join()}`);
      expect(await readdir(torn)).toEqual([]);
    }
    expect([...seen]).toEqual(['0 ', '1 b unknown', '2 ', '3 c unknown']);
    await journal.close();
  });

  test('stays when nobody takes it, and is handed on by the next one who tries', async () => {
    const journal = journalOf('dead');
    await journal.append(OPERATIONS);
    await journal.close();
    const refusing = () => Promise.reject(new Error('no store'));
    const heir = { takeOver: refusing, takeOverOpen: refusing };
    await expect(adoptJournal(folder, 'dead', 5, heir)).rejects.toThrow('no store');
    expect(await journalOwners(folder)).toEqual(['dead']);
    expect((await adopted('dead')).operations).toEqual(OPERATIONS);
    expect(await journalOwners(folder)).toEqual([]);
  });

  test('that is closed takes nothing more, and leaves to its heir all that it had', async () => {
    const journal = journalOf('dead');
    await journal.append(OPERATIONS);
    journal.keepInMemory([starting('in memory alone')]);
    await journal.close();
    expect([journal.lost, journal.waiting]).toEqual([1, OPERATIONS.length]);
    expect(await journal.append([starting('late')])).toBe(false);
    expect(journal.fileProblem).toContain('closed');
    journal.keepInMemory([starting('late')]);
    expect(journal.lost).toBe(2);
    expect((await adopted('dead')).operations).toEqual(OPERATIONS);
  });

  test('whose folder is taken away goes on in memory, and in new files when it is back', async () => {
    const home = join(folder, 'home');
    await mkdir(home);
    const journal = new Journal(home, 'me', MEGABYTE, logger);
    await journal.append([starting('before')]);
    await rename(home, join(folder, 'away'));
    expect(await journal.checkPlace()).toBe(false);
    expect(await journal.append([starting('during')])).toBe(false);
    journal.keepInMemory([starting('during')]);
    await mkdir(home);
    expect(await journal.append([starting('after')])).toBe(true);
    expect(await handedOn(journal)).toEqual([starting('after'), starting('before'), starting('during')]);
    await journal.close();
  });

  /** More than is held as it came, so that only the file has it. */
  async function overfull(home: string, messages: string[] = []) {
    const error = (_: object, message: string): void => void messages.push(message);
    const journal = new Journal(home, 'me', 64 * MEGABYTE, { ...logger, error });
    const many = Array.from({ length: 21_000 }, (_, index) => starting(`a${index}`));
    for (let begin = 0; begin < many.length; begin += 1_000) await journal.append(many.slice(begin, begin + 1_000));
    return { journal, many };
  }

  const nothing = () => Promise.reject(new Error('the store is away'));

  for (const count of [3, 3_000, 21_000]) {
    test(`whose folder is taken away while the store takes nothing of ${count} records keeps what was on the way to it`, async () => {
      const home = join(folder, 'home');
      await mkdir(home);
      const journal = new Journal(home, 'me', 64 * MEGABYTE, logger);
      const many = Array.from({ length: count }, (_, index) => starting(`a${index}`));
      for (let begin = 0; begin < count; begin += 1_000) await journal.append(many.slice(begin, begin + 1_000));
      let taken = 0;
      const oncePart = async (some: LedgerBatch): Promise<void> => {
        if (taken > 0) throw new Error('the store is away');
        taken = some.length;
      };
      await journal.handOn(oncePart).catch(() => undefined);
      // What is read from the file is handed on again from the beginning of what was read at once.
      const left = count > 20_000 ? many : many.slice(taken);
      await journal.append([starting('waiting')]);
      await journal.handOn(nothing).catch(() => undefined);
      await journal.append([starting('filling')]);
      await rm(home, { recursive: true });
      await mkdir(home);
      expect(await journal.checkPlace()).toBe(false);
      expect(await journal.checkPlace()).toBe(true);
      expect(journal.waiting).toBe(left.length + 2);
      const expected = [...left, starting('waiting'), starting('filling')];
      const idsOf = (operations: readonly LedgerOperation[]) =>
        operations.map((one) => one.kind === 'start' && one.start.attemptId).sort();
      expect(idsOf(await handedOn(journal))).toEqual(idsOf(expected));
      expect(journal.lost).toBe(0);
      await journal.close();
    });
  }

  test('whose folder is taken away counts what neither memory nor the file has as lost when it ends', async () => {
    const home = join(folder, 'home');
    await mkdir(home);
    const journal = new Journal(home, 'me', MEGABYTE, logger);
    await journal.append([starting('leaving')]);
    await journal.handOn(nothing).catch(() => undefined);
    await rm(home, { recursive: true });
    await mkdir(home);
    expect(await journal.checkPlace()).toBe(false);
    await journal.close();
    expect(journal.lost).toBe(1);
  });

  test('whose folder comes back writes over nothing that only its file had', async () => {
    const home = join(folder, 'home');
    await mkdir(home);
    const { journal, many } = await overfull(home);
    await rename(home, join(folder, 'away'));
    expect(await journal.checkPlace()).toBe(false);
    await rename(join(folder, 'away'), home);
    expect(await journal.append([starting('after')])).toBe(true);
    expect(await handedOn(journal)).toEqual([starting('after'), ...many]);
    expect(journal.lost).toBe(0);
    await journal.close();
  });

  test.skipIf(process.platform !== 'linux')(
    'whose file cannot be read any more counts and says what only the file had',
    async () => {
      const messages: string[] = [];
      const { journal, many } = await overfull(folder, messages);
      closeUnderneath(journalFiles(folder, 'me')[0]);
      expect(await journal.checkPlace()).toBe(false);
      expect([journal.lost, messages]).toEqual([
        many.length,
        ['usage is being lost: its file is gone, and it was too much to be held'],
      ]);
      expect(await journal.append([starting('after')])).toBe(true);
      expect(await handedOn(journal)).toEqual([starting('after')]);
      await journal.close();
    },
  );

  test.skipIf(process.platform !== 'linux')(
    'whose file cannot even be asked about goes on in memory, and in a new one',
    async () => {
      const journal = journalOf('me');
      await journal.append([starting('before')]);
      closeUnderneath(journalFiles(folder, 'me')[0]);
      expect(await journal.checkPlace()).toBe(false);
      expect(await journal.append([starting('after')])).toBe(true);
      expect(await handedOn(journal)).toEqual([starting('after'), starting('before')]);
      await journal.close();
    },
  );

  test('is not mistaken for other files', async () => {
    await writeFile(join(folder, 'learned.json'), '{}');
    await writeFile(join(folder, 'ledger-journal-x-a.log'), 'none of ours');
    expect(await journalOwners(folder)).toEqual(['x']);
    expect((await adopted('x')).operations).toEqual([]);
    expect(await readdir(folder)).toEqual(['learned.json']);
    expect(await journalOwners(join(folder, 'missing'))).toEqual([]);
  });
});
