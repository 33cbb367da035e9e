import { mkdir, readdir, rm } from 'node:fs/promises';
import { attemptUnknown, type LedgerOperation } from '../../core/ledger.ts';
import { journalFiles } from './journal.ts';
import { leftFile, readLeft } from './journal-file.ts';

const NAME = /^ledger-journal-(.+?)(?:-[ab]\.log|\.lock)$/;
const OWNER_ONLY_FOLDER = 0o700;

/** The folder of the files. Not made anew while the process runs: one that is gone (a disk that was taken out) comes back. */
export async function makeJournalFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
}

/** The owners whose files lie in the folder. */
export async function journalOwners(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch(() => []);
  return [...new Set(names.flatMap((name) => NAME.exec(name)?.[1] ?? []))];
}

/** Who goes on for a dead process. Both reject when nothing is taken. */
export interface Heir {
  takeOver(operations: readonly LedgerOperation[]): Promise<void>;
  /** Ends of what it left open. */
  takeOverOpen(ends: readonly LedgerOperation[]): Promise<void>;
}

/**
 * Hands on what a dead process left, oldest first, then the ends of what it left open. The files go when all of it is
 * taken: what is handed on twice, since a crash came in between, does no harm.
 */
export async function adoptJournal(folder: string, ownerId: string, nowMs: number, heir: Heir): Promise<void> {
  const paths = journalFiles(folder, ownerId);
  const left = (await Promise.all(paths.map(leftFile))).filter((file) => file !== null);
  const open = new Map<string, LedgerOperation>();
  for (const file of left.toSorted((a, b) => a.generation - b.generation)) {
    for await (const operations of readLeft(file)) {
      await heir.takeOver(operations);
      for (const operation of operations) follow(open, operation, nowMs);
    }
  }
  if (open.size > 0) await heir.takeOverOpen([...open.values()]);
  for (const path of paths) await rm(path, { force: true });
}

/** What nobody saw the end of, and the end that it gets. */
function follow(open: Map<string, LedgerOperation>, operation: LedgerOperation, nowMs: number): void {
  if (operation.kind === 'end') {
    open.delete(`${operation.organisationId}\n${operation.attemptId}`);
    return;
  }
  const { attemptId, payer } = operation.start;
  const { organisationId } = payer;
  open.set(`${organisationId}\n${attemptId}`, {
    kind: 'end',
    organisationId,
    attemptId,
    end: attemptUnknown(nowMs),
  });
}
