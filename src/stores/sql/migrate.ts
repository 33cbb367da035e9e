import { type Kysely, type Migration, Migrator } from 'kysely';
import type { DialectName } from './dialect-name.ts';
import { tenantsAndLedger } from './migrations/0001-tenants-and-ledger.ts';
import { auditLog } from './migrations/0002-audit-log.ts';
import { peopleAndLimits } from './migrations/0003-people-and-limits.ts';
import { identities } from './migrations/0004-identities.ts';
import { routing } from './migrations/0005-routing.ts';
import { budgetParts } from './migrations/0006-budget-parts.ts';

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
 * version, and the next start begins anew. Several processes at once take turns.
 */
export async function migrate<T>(db: Kysely<T>, dialect: DialectName): Promise<void> {
  const migrations = Object.fromEntries(Object.entries(MIGRATIONS).map(([name, make]) => [name, make(dialect)]));
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
    migrationTableName: 'migration',
    migrationLockTableName: 'migration_lock',
  });
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
