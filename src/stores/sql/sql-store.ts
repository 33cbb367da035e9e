import { type Kysely, sql } from 'kysely';
import type { LedgerOwner, LedgerStore } from '../../core/ledger.ts';
import type { DialectName } from './dialect-name.ts';
import type { Tables } from './tables.ts';

/** The store that everything is kept in: SQLite's or PostgreSQL's, the same to all who use it. */
export interface SqlStore extends LedgerStore {
  readonly dialect: DialectName;
  /** For the repositories; long reports hold up no commit. */
  readonly db: Kysely<Tables>;
  /** Of its file; 0: it has none of its own. */
  fileBytes(): number;
  /** Reads the whole file; what is wrong with it. Seconds for a million rows, on a thread of its own. */
  checkIntegrity(): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Those with attempts open. */
export async function ledgerOwners(db: Kysely<Tables>): Promise<readonly LedgerOwner[]> {
  const { rows } = await sql<{ owner_id: string; beat: number; alive: number; open_attempts: number }>`
    select o.owner_id, o.beat, o.alive, (select count(*) from ledger_attempt as a
      where a.owner_id = o.owner_id and a.state = 'reserved') as open_attempts
    from ledger_owner as o
    where exists (select 1 from ledger_attempt as a where a.owner_id = o.owner_id and a.state = 'reserved')
    order by o.owner_id`.execute(db);
  return rows.map((row) => ({
    ownerId: row.owner_id,
    beat: row.beat,
    alive: row.alive === 1,
    openAttempts: row.open_attempts,
  }));
}
