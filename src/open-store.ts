import { type HashKey, keyHasher, pepperCheck } from './admission/key-hash.ts';
import type { Config } from './config/config.ts';
import type { BudgetStore } from './core/budget-store.ts';
import type { Clock } from './core/clock.ts';
import type { HeldLock } from './core/file-lock.ts';
import type { ClientKeyStore } from './core/key-store.ts';
import type { Ledger } from './core/ledger.ts';
import type { LedgerVerification } from './core/ledger-check.ts';
import type { Logger } from './core/logger.ts';
import { sayWhenSlow } from './core/when-slow.ts';
import type { AuditLog } from './stores/audit-log.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';

export interface StoreParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null: there is none yet. */
  readonly ledger: () => Ledger | null;
}

/** What stands on the store. */
export interface Opened {
  readonly store: SqlStore;
  readonly hash: HashKey;
  /** The pepper was made at this start. */
  readonly pepperIsNew: boolean;
  readonly audit: AuditLog;
  readonly keys: ClientKeyStore;
  readonly budgets: BudgetStore;
  readonly verification: LedgerVerification;
  /** Of the data folder. Null: there is nothing to hold. */
  readonly folder: HeldLock | null;
}

/** A store with a million calls of an earlier version takes several times as long. */
const SLOW_OPENING_MS = 3_000;

/**
 * The store and what stands on it; makes one where there is none. A damaged one is refused. What fails leaves nothing
 * open. Part of the composition root.
 */
export async function openStore(config: Config, parts: StoreParts): Promise<Opened> {
  // First: where it cannot be read, no store is made.
  const { hash, isNew } = await openHasher(config);
  const { clock, logger } = parts;
  const store = await sayWhenSlow(
    clock,
    SLOW_OPENING_MS,
    () =>
      logger.info({}, 'the store is being opened; the first start with a store of an earlier version takes a while'),
    () => openDatabase(config, clock),
  );
  try {
    const { refuseDamaged } = await import('./stores/sql/integrity.ts');
    await refuseDamaged(store, clock, logger);
    const audit = await openAudit(store, config, hash, parts);
    const keys = await openKeyStore(store, audit, pepperCheck(hash));
    const verification = await openVerification(store, parts.ledger);
    const budgets = await openBudgetStore(store, audit);
    // Last: what may fail is behind us, and a start that fails holds nothing.
    const folder = await holdDataFolder(config, parts);
    return { folder, store, hash, pepperIsNew: isNew, audit, keys, budgets, verification };
  } catch (error) {
    await store.close().catch(notClosed(logger));
    throw error;
  }
}

/** After a failure, which is what is to be told: a store that cannot be closed either is only logged. */
export async function closeStore({ audit, store, folder }: Opened, logger: Logger): Promise<void> {
  await audit.close().catch(notClosed(logger));
  await store.close().catch(notClosed(logger));
  folder?.release();
}

function notClosed(logger: Logger) {
  return (error: unknown) => logger.warn({ error: String(error) }, 'a store that failed could not be closed');
}

async function openDatabase({ databaseUrl, dataDir }: Config, clock: Clock): Promise<SqlStore> {
  if (databaseUrl === null)
    return (await import('./stores/sqlite/sqlite-store.ts')).openSqliteStore({ dataDir, clock });
  return (await import('./stores/postgres/postgres-store.ts')).openPostgresStore({ url: databaseUrl.reveal(), clock });
}

/** A database of its own is made for several gateways. */
async function holdDataFolder(
  { databaseUrl, dataDir }: Config,
  { clock, logger }: StoreParts,
): Promise<HeldLock | null> {
  if (databaseUrl !== null) return null;
  const [{ holdFolder }, { sqliteFileLocks }] = await Promise.all([
    import('./stores/sqlite/folder-lock.ts'),
    import('./stores/sqlite/file-locks.ts'),
  ]);
  return holdFolder(dataDir, sqliteFileLocks, clock, logger);
}

async function openAudit(
  { db }: SqlStore,
  { dataDir, databaseUrl }: Config,
  hash: HashKey,
  { clock, logger }: StoreParts,
): Promise<AuditLog> {
  const { openAuditLog } = await import('./stores/audit-log.ts');
  // A database of its own has no other gateway that signs in it.
  return openAuditLog({ db, dataDir, clock, logger, ...(databaseUrl === null ? {} : { seal: hash }) });
}

async function openKeyStore({ db }: SqlStore, audit: AuditLog, check: string): Promise<ClientKeyStore> {
  const { SqlKeyStore } = await import('./stores/sql/repositories/key-store.ts');
  const append: AuditLog['append'] = (transaction, event) => audit.append(transaction, event);
  return new SqlKeyStore({ db, append, newId: () => Bun.randomUUIDv7(), pepperCheck: check });
}

async function openBudgetStore({ db }: SqlStore, audit: AuditLog): Promise<BudgetStore> {
  const { SqlBudgetStore } = await import('./stores/sql/repositories/budget-store.ts');
  return new SqlBudgetStore(db, (transaction, event) => audit.append(transaction, event));
}

async function openVerification(store: SqlStore, ledger: () => Ledger | null): Promise<LedgerVerification> {
  const { UpToDateVerification } = await import('./usage/ledger/up-to-date-verification.ts');
  // It brings its queries with it, which few processes ever need.
  const verify = async () => (await import('./stores/sql/repositories/verify.ts')).verifyLedger(store);
  return new UpToDateVerification(verify, ledger);
}

/** `isNew`: made at this start. */
async function openHasher({
  dataDir,
  keyPepper,
}: Config): Promise<{ readonly hash: HashKey; readonly isNew: boolean }> {
  if (keyPepper !== null) return { hash: keyHasher(keyPepper), isNew: false };
  const [{ loadOrCreatePepper }, { pepperFile }] = await Promise.all([
    import('./admission/pepper.ts'),
    import('./stores/pepper-file.ts'),
  ]);
  const pepper = await loadOrCreatePepper(pepperFile(dataDir));
  return { hash: keyHasher(pepper.value), isNew: pepper.created };
}
