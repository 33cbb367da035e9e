import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { readSavedBook, savedBookText } from './saved-book.ts';
import { SpeedBook } from './speed-book.ts';

/** Where it is kept. */
export interface BookFile {
  readonly path: string;
  /** Null: nothing was kept. */
  load(): Promise<unknown>;
  /** In pieces. */
  save(text: Iterable<string>): Promise<void>;
}

/** How often what was learned is written, ms: it is only an estimate, and a crash may cost a minute of it. */
const KEEP_LEARNED_MS = 60_000;

/** What traffic taught, kept over restarts. That it cannot be read or written stops nothing. */
export async function openKeptBook(file: BookFile, mostBytes: number, clock: Clock, log: Logger) {
  const book = new SpeedBook(clock);
  const warn = (message: string, error: unknown): void =>
    log.warn({ path: file.path, reason: error instanceof Error ? error.message : String(error) }, message);
  try {
    const kept = await file.load();
    if (kept !== null) restoreLearned(book, kept, file.path, log);
  } catch (error) {
    warn('learned speeds cannot be read; they are learned anew', error);
  }
  let keptVersion = book.version;
  const keep = async (): Promise<void> => {
    if (book.version === keptVersion) return;
    keptVersion = book.version;
    const text = savedBookText(book.save(), mostBytes);
    await file.save(text).catch((error: unknown) => warn('learned speeds cannot be written', error));
  };
  let writing = Promise.resolve();
  let cancel = (): void => undefined;
  let isClosed = false;
  const again = (): void => {
    if (isClosed) return;
    cancel = clock.after(KEEP_LEARNED_MS, () => {
      writing = keep();
      void writing.then(again);
    });
  };
  again();
  const close = async (): Promise<void> => {
    isClosed = true;
    cancel();
    await writing;
    await keep();
  };
  return { book, close };
}

function restoreLearned(book: SpeedBook, kept: unknown, path: string, log: Logger): void {
  const { pages, problems, leftOut } = readSavedBook(kept);
  book.restore(pages);
  if (leftOut > 0) log.warn({ path, problems, left_out: leftOut }, 'learned speeds that make no sense are left out');
}
