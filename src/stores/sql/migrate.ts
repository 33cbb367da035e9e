import { type Kysely, type Migration, type MigrationInfo, Migrator, sql } from 'kysely';
import type { Clock } from '../../core/clock.ts';
import type { DialectName } from './dialect-name.ts';
import { tenantsAndLedger } from './migrations/0001-tenants-and-ledger.ts';
import { auditLog } from './migrations/0002-audit-log.ts';
import { peopleAndLimits } from './migrations/0003-people-and-limits.ts';
import { identities } from './migrations/0004-identities.ts';
import { routing } from './migrations/0005-routing.ts';
import { budgetParts } from './migrations/0006-budget-parts.ts';
import { ownersAtWork } from './owners-at-work.ts';
import { StoreRefused } from './store-refused.ts';

const MIGRATION_TABLE = 'migration';

const MIGRATIONS: Readonly<Record<string, (dialect: DialectName) => Migration>> = {
  '0001-tenants-and-ledger': tenantsAndLedger,
  '0002-audit-log': auditLog,
  '0003-people-and-limits': peopleAndLimits,
  '0004-identities': identities,
  '0005-routing': routing,
  '0006-budget-parts': budgetParts,
};

/**
 * Brings the tables to this version, all steps in one transaction: a process that dies in between leaves the old
 * version, and the next start begins anew. Rejects with StoreRefused where the tables are a later version's, or another
 * process still works with an earlier one. Several processes that start at once take turns: PostgreSQL has the others
 * wait, SQLite says that it is locked, and whoever calls tries again.
 */
export async function migrate<T>(db: Kysely<T>, dialect: DialectName, clock: Clock): Promise<void> {
  const migrations = Object.fromEntries(Object.entries(MIGRATIONS).map(([name, make]) => [name, make(dialect)]));
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: 'migration_lock',
  });
  await refuseUnfit(db, migrator, clock);
  const { error, results } = await migrator.migrateToLatest();
  if (error === undefined) return;
  const step = results?.find((result) => result.status === 'Error')?.migrationName;
  const what = error instanceof Error ? error.message : String(error);
  throw new Error(
    `the store's tables could not be brought to this version${step === undefined ? '' : ` (${step})`}: ${what}`,
    {
      cause: error,
    },
  );
}

async function refuseUnfit<T>(db: Kysely<T>, migrator: Migrator, clock: Clock): Promise<void> {
  const known = await migrator.getMigrations();
  // An empty store is anybody's.
  if (known.every(({ executedAt }) => executedAt === undefined)) return;
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(
    db,
  );
  const later = rows.map(({ name }) => name).filter((name) => !known.some((one) => one.name === name));
  if (later.length > 0) throw new StoreRefused(laterText(later));
  if (pendingOf(known).length === 0) return;
  const atWork = await ownersAtWork(db, clock);
  if (atWork.length === 0) return;
  // One of this version may have been quicker, and be at work already.
  const pending = pendingOf(await migrator.getMigrations());
  if (pending.length > 0) throw new StoreRefused(atWorkText(pending, atWork));
}

function pendingOf(known: readonly MigrationInfo[]): readonly string[] {
  return known.filter(({ executedAt }) => executedAt === undefined).map(({ name }) => name);
}

function laterText(later: readonly string[]): string {
  return `it was made or changed by a later version of SwarmRouter, whose tables (${later.join(', ')}) this one does not know. Start that version or a newer one; or put back the backup that was made before the upgrade. Nothing was changed`;
}

function atWorkText(pending: readonly string[], atWork: readonly string[]): string {
  return `its tables are an earlier version's (${pending.join(', ')} is to come), and another gateway of that version works on it now (process ${atWork.join(', ')} of the ledger). It would lose what it writes afterwards. Stop all gateways that use this store, then start this one again. Nothing was changed`;
}
