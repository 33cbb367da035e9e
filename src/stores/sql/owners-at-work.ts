import { type Kysely, sql } from 'kysely';
import type { Clock } from '../../core/clock.ts';

/** A gateway with calls open beats every two seconds. */
const WATCH_MS = 3_000;
const LOOK_EVERY_MS = 250;

/**
 * Processes that write calls into the store now; those that were killed stand there as alive, too, but beat no more.
 * Waits for three seconds where there are any that may be.
 */
export async function ownersAtWork<T>(db: Kysely<T>, clock: Clock): Promise<readonly string[]> {
  const before = await beats(db);
  if (before.size === 0) return [];
  const endMs = clock.nowMs() + WATCH_MS;
  for (;;) {
    const atWork = [...(await beats(db))].filter(([id, beat]) => before.get(id) !== beat).map(([id]) => id);
    if (atWork.length > 0 || clock.nowMs() >= endMs) return atWork;
    await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve));
  }
}

/** By process. */
async function beats<T>(db: Kysely<T>): Promise<ReadonlyMap<string, string>> {
  const { rows } = await sql<{ owner_id: string; beat: number | string }>`
    select owner_id, beat from ledger_owner where alive = 1 order by owner_id`.execute(db);
  return new Map(rows.map((row) => [row.owner_id, String(row.beat)]));
}
