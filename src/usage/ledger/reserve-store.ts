import type { LedgerOperation } from '../../core/ledger.ts';
import type { Logger } from '../../core/logger.ts';
import { SpillFile } from './spill-file.ts';

/** Operations kept in memory when the file takes none; about 64 MB. */
const MOST_IN_MEMORY = 60_000;
/** Handed on at once. */
const AT_ONCE = 500;

/** Keeps operations while the store takes none: in a file, and in memory when there is no room for the file either. */
export class ReserveStore {
  readonly #logger: Logger;
  readonly #file: SpillFile;
  readonly #memory: LedgerOperation[] = [];
  #offset = 0;
  #inFile = 0;
  #lost = 0;
  #fileProblem: string | null = null;

  constructor(folder: string, ownerId: string, mostBytes: number, logger: Logger) {
    this.#file = new SpillFile(folder, ownerId, mostBytes);
    this.#logger = logger;
  }

  get waiting(): number {
    return this.#inFile + this.#memory.length;
  }
  get bytes(): number {
    return this.#file.bytes;
  }
  get lost(): number {
    return this.#lost;
  }
  /** Why the latest operations are in memory only; null: they are in the file. */
  get fileProblem(): string | null {
    return this.#fileProblem;
  }

  async keep(operations: readonly LedgerOperation[]): Promise<void> {
    try {
      await this.#file.append(operations);
      this.#inFile += operations.length;
      this.#fileProblem = null;
    } catch (error) {
      this.#keepInMemory(operations, error);
    }
  }

  /** Hands on all that is kept, oldest first, and forgets what was taken. Rejects when it was not; the rest stays. */
  async handOn(take: (operations: readonly LedgerOperation[]) => Promise<void>): Promise<void> {
    await this.#handOnFile(take);
    while (this.#memory.length > 0) {
      const part = this.#memory.slice(0, AT_ONCE);
      await take(part);
      this.#memory.splice(0, part.length);
    }
    await this.#file.clear();
    this.#offset = 0;
    this.#inFile = 0;
    this.#fileProblem = null;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #handOnFile(take: (operations: readonly LedgerOperation[]) => Promise<void>): Promise<void> {
    for (;;) {
      const { operations, nextOffset } = await this.#file.read(this.#offset);
      if (operations.length === 0) return;
      for (let begin = 0; begin < operations.length; begin += AT_ONCE) {
        await take(operations.slice(begin, begin + AT_ONCE));
      }
      this.#offset = nextOffset;
      this.#inFile = Math.max(0, this.#inFile - operations.length);
    }
  }

  #keepInMemory(operations: readonly LedgerOperation[], error: unknown): void {
    const problem = error instanceof Error ? error.message : String(error);
    if (this.#fileProblem === null) {
      this.#logger.error({ problem }, 'usage is kept in memory only: the ledger takes none, and neither does its file');
    }
    this.#fileProblem = problem;
    const room = Math.max(0, MOST_IN_MEMORY - this.#memory.length);
    this.#memory.push(...operations.slice(0, room));
    if (operations.length <= room) return;
    if (this.#lost === 0) this.#logger.error({ problem }, 'usage is being lost: there is no room for it anywhere');
    this.#lost += operations.length - room;
  }
}
