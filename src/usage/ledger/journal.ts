import { join } from 'node:path';
import type { LedgerBatch, LedgerOperation } from '../../core/ledger.ts';
import { decodeOperations, EncodedOperations, encodeOperations } from '../../core/ledger-text.ts';
import type { Logger } from '../../core/logger.ts';
import { Turns } from '../../core/turns.ts';
import { JournalFile, JournalFull } from './journal-file.ts';
import { type JournalRecord, recordsOf } from './journal-frames.ts';

/** Operations kept in memory when the file takes none; about 64 MB. */
const MOST_IN_MEMORY = 60_000;
/** What the store has not taken yet is also held as it came, up to so many: beyond, it is read from the file again. */
const MOST_HELD = 20_000;
/** Handed on at once: a commit of them holds up hard reservations for a few milliseconds. */
const AT_ONCE = 2_000;

export type Take = (operations: LedgerBatch) => Promise<void>;

/** One of the two files of a journal, and what is in it. */
class Half {
  readonly file: JournalFile;
  /** As texts: a few long ones cost less than many objects that live for a second. Null: too many to be held. */
  held: JournalRecord[] | null = [];
  count = 0;
  /** Bytes, or records where they are held, that were handed on. */
  done = 0;
  /** Operations in them. */
  handedOn = 0;
  /** Attempts that go on in the other half: their starts are not handed on from here. */
  carried: ReadonlySet<string> = new Set();

  constructor(path: string) {
    this.file = new JournalFile(path);
  }

  add(records: readonly JournalRecord[]): void {
    for (const { count } of records) this.count += count;
    if (this.count > MOST_HELD) this.held = null;
    else this.held?.push(...records);
  }

  async begin(generation: number): Promise<void> {
    await this.file.begin(generation);
    this.held = [];
    this.count = 0;
    this.done = 0;
    this.handedOn = 0;
    this.carried = new Set();
  }
}

/**
 * Where operations cannot be lost until the store has them: two files. One is filled while what is in the other goes to
 * the store; then they change places.
 */
export class Journal {
  readonly #logger: Logger;
  readonly #mostBytes: number;
  /** One write to the files at a time. */
  readonly #turns = new Turns();
  readonly #memory: LedgerOperation[] = [];
  #filling: Half;
  #leaving: Half;
  #generation = 0;
  #lost = 0;
  #fileProblem: string | null = null;
  #closed = false;

  constructor(folder: string, ownerId: string, mostBytes: number, logger: Logger) {
    const [first, second] = journalFiles(folder, ownerId);
    this.#filling = new Half(first);
    this.#leaving = new Half(second);
    this.#mostBytes = mostBytes;
    this.#logger = logger;
  }

  /** Not in the store yet. */
  get waiting(): number {
    return this.#filling.count + this.#leaving.count + this.#memory.length;
  }
  get bytes(): number {
    return this.#filling.file.bytes + this.#leaving.file.bytes;
  }
  get lost(): number {
    return this.#lost;
  }
  /** Why the latest operations could not be written; null: they were. */
  get fileProblem(): string | null {
    return this.#fileProblem;
  }

  /** On the disk when it resolves with true; false: the files do not take them, `fileProblem` says why. */
  append(operations: readonly LedgerOperation[]): Promise<boolean> {
    return this.#turns.run(() => this.#append(operations));
  }

  /** When neither the files nor the store take them. */
  keepInMemory(operations: readonly LedgerOperation[]): void {
    const room = this.#closed ? 0 : Math.max(0, MOST_IN_MEMORY - this.#memory.length);
    this.#memory.push(...operations.slice(0, room));
    this.#lose(operations.length - room, this.#closed ? 'it came after the end' : 'there is no room for it anywhere');
  }

  /**
   * Hands on all that is kept, oldest first, and forgets what was taken. Rejects when it was not; the rest stays.
   * `carry`: starts of attempts that run on; asked for when the files change places, and not handed on if they can be
   * written to the other file. `carried` hears whether they were.
   */
  async handOn(take: Take, carry: Carry = CARRY_NONE): Promise<void> {
    await this.#handOnLeaving(take);
    if (this.#filling.count > 0) await this.#turns.run(() => this.#changePlaces(carry));
    await this.#handOnLeaving(take);
    while (this.#memory.length > 0) {
      const part = this.#memory.slice(0, AT_ONCE);
      await take(part);
      this.#memory.splice(0, part.length);
    }
  }

  /** Whether the files are still where they were made; if not, what is to come goes into new ones. */
  checkPlace(): Promise<boolean> {
    return this.#turns.run(async () => {
      const isInPlace = await this.#checkHalf(this.#leaving);
      return (await this.#checkHalf(this.#filling)) && isInPlace;
    });
  }

  async #checkHalf(half: Half): Promise<boolean> {
    if (await half.file.isInPlace()) return true;
    await this.#bringToMemory(half);
    await half.file.close();
    await half.begin(++this.#generation);
    return false;
  }

  /** What the store does not have stays in the files, for the next process: nothing may be written over it any more. */
  close(): Promise<void> {
    return this.#turns.run(async () => {
      this.#closed = true;
      this.#lose(this.#memory.splice(0).length, 'it was in memory alone, and the process ends');
      for (const half of [this.#filling, this.#leaving]) {
        await (half.count === 0 ? half.file.remove() : half.file.close());
      }
    });
  }

  /**
   * What the store has not taken of a file that is not in place any more: one that comes back is written over. What is
   * on its way to the store now may come there twice, which changes nothing.
   */
  async #bringToMemory(half: Half): Promise<void> {
    const { held, file, done, handedOn, count } = half;
    let brought = 0;
    const bring = (operations: readonly LedgerOperation[]): void => {
      this.keepInMemory(notCarried(half, operations));
      brought += operations.length;
    };
    if (held !== null) bring(held.slice(done).flatMap(({ text }) => decodeOperations(text)));
    // As far as it can be read: what was taken away is still open, what was lost is not.
    else await readAll(file, done, bring).catch(() => undefined);
    this.#lose(count - handedOn - brought, 'its file is gone, and it was too much to be held');
  }

  #lose(count: number, why: string): void {
    if (count <= 0) return;
    if (this.#lost === 0) this.#logger.error({}, `usage is being lost: ${why}`);
    this.#lost += count;
  }

  async #append(operations: readonly LedgerOperation[]): Promise<boolean> {
    const { file } = this.#filling;
    if (this.#closed) {
      this.#fileProblem = 'the journal is closed';
      return false;
    }
    try {
      if (this.#generation === 0) await this.#filling.begin(++this.#generation);
      const records = recordsOf(operations);
      await file.append(records, this.#mostBytes - this.#leaving.file.bytes);
      this.#filling.add(records);
      this.#fileProblem = null;
      return true;
    } catch (error) {
      this.#say(error);
      return false;
    }
  }

  async #changePlaces(carry: Carry): Promise<void> {
    await this.#leaving.begin(++this.#generation);
    [this.#filling, this.#leaving] = [this.#leaving, this.#filling];
    const starts = carry.starts();
    const isCarried = starts.length > 0 && (await this.#append(starts));
    if (isCarried) this.#leaving.carried = new Set(starts.map(({ start }) => start.attemptId));
    carry.done(isCarried);
  }

  async #handOnLeaving(take: Take): Promise<void> {
    const half = this.#leaving;
    if (half.count === 0) return;
    if (half.held === null) await this.#handOnFile(half, take);
    else {
      while (half.done < half.held.length) {
        const some = atOnce(half.held, half.done);
        await take(notCarriedTexts(half, some));
        half.done += some.length;
        half.handedOn += some.reduce((sum, { count }) => sum + count, 0);
      }
    }
    await half.begin(++this.#generation);
  }

  async #handOnFile(half: Half, take: Take): Promise<void> {
    for (;;) {
      const { operations, nextOffset } = await half.file.read(half.done);
      if (operations.length === 0) return;
      for (let begin = 0; begin < operations.length; begin += AT_ONCE) {
        await take(notCarried(half, operations.slice(begin, begin + AT_ONCE)));
      }
      half.done = nextOffset;
      half.handedOn += operations.length;
    }
  }

  #say(error: unknown): void {
    const problem = error instanceof Error ? error.message : String(error);
    if (this.#fileProblem === null && !(error instanceof JournalFull)) {
      this.#logger.error({ problem }, "the ledger's journal takes nothing now");
    }
    this.#fileProblem = problem;
  }
}

async function readAll(
  file: JournalFile,
  begin: number,
  take: (operations: readonly LedgerOperation[]) => void,
): Promise<void> {
  for (let offset = begin; ; ) {
    const { operations, nextOffset } = await file.read(offset);
    if (operations.length === 0) return;
    take(operations);
    offset = nextOffset;
  }
}

type StartOperation = Extract<LedgerOperation, { kind: 'start' }>;

export interface Carry {
  starts(): readonly StartOperation[];
  done(isCarried: boolean): void;
}

const CARRY_NONE: Carry = { starts: () => [], done: () => undefined };

function notCarried({ carried }: Half, operations: readonly LedgerOperation[]): readonly LedgerOperation[] {
  if (carried.size === 0) return operations;
  return operations.filter((operation) => operation.kind === 'end' || !carried.has(operation.start.attemptId));
}

/** Records that make up so many operations, or the next one alone. */
function atOnce(held: readonly JournalRecord[], begin: number): readonly JournalRecord[] {
  let end = begin;
  for (let count = 0; end < held.length; end++) {
    count += held[end]?.count ?? 0;
    if (count > AT_ONCE && end > begin) break;
  }
  return held.slice(begin, end);
}

/** Only what was left open can go on elsewhere: nearly all texts go as they are. */
function notCarriedTexts(half: Half, records: readonly JournalRecord[]): LedgerBatch {
  let length = 0;
  const texts = records.map((record) => {
    const { text, count } = half.carried.size > 0 && record.leavesOpen ? withoutCarried(half, record) : record;
    length += count;
    return text;
  });
  return new EncodedOperations(texts, length);
}

function withoutCarried(half: Half, { text }: JournalRecord): Pick<JournalRecord, 'text' | 'count'> {
  const left = notCarried(half, decodeOperations(text));
  return { text: encodeOperations(left), count: left.length };
}

/** The two files of an owner. */
export function journalFiles(folder: string, ownerId: string): readonly [string, string] {
  return [join(folder, `ledger-journal-${ownerId}-a.log`), join(folder, `ledger-journal-${ownerId}-b.log`)];
}
