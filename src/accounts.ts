import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BudgetBook } from './admission/budget-book.ts';
import { ClientKeys } from './admission/client-keys.ts';
import { KeyBook } from './admission/key-book.ts';
import type { HashKey } from './admission/key-hash.ts';
import type { Config } from './config/config.ts';
import { type AuditReports, type AuditSink, NO_AUDIT } from './core/audit.ts';
import { type Billing, FREE } from './core/billing.ts';
import type { Clock } from './core/clock.ts';
import type { ClientKeyStore } from './core/key-store.ts';
import type { Logger } from './core/logger.ts';
import { costOf, estimateNanoUsd, type Price, savedNanoUsd } from './core/price.ts';
import type { UsageReports } from './core/usage-report.ts';
import { modelIndex } from './router/model-index.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { AuditLog } from './stores/audit-log.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import { STORE_FILE } from './stores/sqlite/store-file.ts';
import type { PricedCall } from './usage/billing/pricing.ts';
import type { ConfiguredPrices, OperatorPrices } from './usage/prices/operator-prices.ts';

export interface AccountsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: TargetDirectory;
}

interface BooksParts extends AccountsParts {
  readonly budgets: BudgetBook;
  readonly prices: OperatorPrices;
}

/** What stands on the store. */
interface Opened {
  readonly store: SqlStore;
  readonly hash: HashKey;
  readonly audit: AuditLog;
  readonly keys: ClientKeyStore;
}

interface Books {
  readonly billing: Billing;
  readonly reports: UsageReports;
  close(): Promise<void>;
}

/**
 * Who may call and what it cost, part of the composition root. A single user on a laptop has no store: it is opened at
 * the start where there is one or usage is to be kept, else when the first key is made. What stands on it is loaded only
 * then: it would slow every start.
 */
export class Accounts {
  /** Every client key, in memory; empty while there is no store. */
  readonly book: KeyBook;
  /** Every hard budget, in memory. */
  readonly budgets = new BudgetBook();
  /** Who changed what goes here; nowhere while there is no store. */
  readonly audit: AuditSink = { record: (event) => (this.#opened?.audit ?? NO_AUDIT).record(event) };
  readonly billing: Billing = { open: (purchase) => (this.#books?.billing ?? FREE).open(purchase) };
  readonly #config: Config;
  readonly #parts: AccountsParts;
  #opened: Opened | null = null;
  #opening: Promise<Opened> | null = null;
  #books: Books | null = null;
  #closing: Promise<void> | null = null;
  #configuredPrices: ConfiguredPrices;
  #prices: OperatorPrices | null = null;
  #readingPrices: Promise<OperatorPrices> | null = null;

  private constructor(config: Config, parts: AccountsParts) {
    this.#config = config;
    this.#configuredPrices = config;
    this.#parts = parts;
    // Without a store no key exists whose hash could be asked for.
    this.book = new KeyBook((text) => this.#opened?.hash(text) ?? '');
  }

  static async open(config: Config, parts: AccountsParts): Promise<Accounts> {
    const accounts = new Accounts(config, parts);
    const { usage, databaseUrl, dataDir } = config;
    if (usage || databaseUrl !== null || existsSync(join(dataDir, STORE_FILE))) await accounts.store();
    return accounts;
  }

  /** Null: not kept. */
  get reports(): UsageReports | null {
    return this.#books?.reports ?? null;
  }

  /** Null: there is no store. */
  get auditReports(): AuditReports | null {
    return this.#opened?.audit ?? null;
  }

  /** Opens it where it is not open, and makes it where there is none. */
  async store(): Promise<SqlStore> {
    return (await this.#open()).store;
  }

  /** Of the store, which is opened for it: for changes that are on record in their own transaction. */
  async auditLog(): Promise<AuditLog> {
    return (await this.#open()).audit;
  }

  /** Null: there is no store, and so no key. To look makes none. */
  async keysIfAny(): Promise<ClientKeys | null> {
    return this.#opening === null ? null : this.keys();
  }

  /** To make, change and end client keys; opens the store. */
  async keys(): Promise<ClientKeys> {
    const { store, keys, hash } = await this.#open();
    const onStored = async (): Promise<void> => {
      await this.#readBudgets(store);
      await this.#keepBooks();
    };
    const { clock } = this.#parts;
    const newId = () => `key_${Bun.randomUUIDv7()}`;
    return new ClientKeys({ store: keys, book: this.book, hash, clock, newId, onStored });
  }

  /** From the first key on, what is used is on record. */
  async #keepBooks(): Promise<void> {
    const store = await this.store();
    this.#books ??= await this.#openBooks(store);
  }

  /** The prices in force. Setting the first one makes a store where there is none. */
  prices(): Promise<OperatorPrices> {
    this.#readingPrices ??= this.#readPrices().catch((error: unknown) => {
      this.#readingPrices = null;
      throw error;
    });
    return this.#readingPrices;
  }

  /** Puts changed prices of the configuration in force for the next call. */
  configurePrices(configured: ConfiguredPrices): void {
    this.#configuredPrices = configured;
    this.#prices?.configure(configured);
  }

  /** Harmless when it has been closed already. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#books?.close();
    await this.#opened?.audit.close();
    await this.#opened?.store.close();
  }

  async #readBudgets({ db }: SqlStore): Promise<void> {
    const { BudgetRepository } = await import('./stores/sql/repositories/budgets.ts');
    this.budgets.replace(await new BudgetRepository(db).states(this.#parts.clock.wallMs()));
  }

  async #openBooks(store: SqlStore): Promise<Books> {
    const prices = await this.prices();
    return openBooks(store, this.#config, { ...this.#parts, budgets: this.budgets, prices });
  }

  async #readPrices(): Promise<OperatorPrices> {
    const [{ OperatorPrices }, { PriceRepository }, { recordedPrices }] = await Promise.all([
      import('./usage/prices/operator-prices.ts'),
      import('./stores/sql/repositories/prices.ts'),
      import('./stores/recorded-prices.ts'),
    ]);
    const { clock, logger } = this.#parts;
    const prices = new OperatorPrices({
      configured: this.#configuredPrices,
      store: async () => recordedPrices(await this.auditLog()),
      wallMs: () => clock.wallMs(),
      logger,
    });
    // From here on it is told of changes.
    this.#prices = prices;
    if (this.#opened !== null) prices.restore(await new PriceRepository(this.#opened.store.db).all());
    return prices;
  }

  #open(): Promise<Opened> {
    this.#opening ??= this.#openParts().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #openParts(): Promise<Opened> {
    const [store, { hash, isNew }] = await Promise.all([openStore(this.#config), openHasher(this.#config.dataDir)]);
    await takeSound(store, this.#parts);
    const audit = await openAudit(store, this.#config.dataDir, this.#parts);
    const opened = { store, hash, audit, keys: await openKeyStore(store, audit) };
    const records = await opened.keys.all(this.#parts.clock.wallMs());
    await this.#readBudgets(store);
    this.#opened = opened;
    this.book.replace(records.map(({ key }) => key));
    if (isNew && records.length > 0) this.#parts.logger.error({ keys: records.length }, PEPPER_IS_LOST);
    if (this.#config.usage || this.book.size > 0) this.#books = await this.#openBooks(store);
    return opened;
  }
}

const PEPPER_IS_LOST =
  'the file key-pepper of the data folder was not there and was made anew: none of the client keys in the store opens anything. Put it back from a backup and start again, or rotate the keys.';

/** A damaged store is closed again and refused. */
async function takeSound(store: SqlStore, { clock, logger }: AccountsParts): Promise<void> {
  const { refuseDamaged } = await import('./stores/sql/integrity.ts');
  try {
    await refuseDamaged(store, clock, logger);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function openStore({ databaseUrl, dataDir }: Config): Promise<SqlStore> {
  if (databaseUrl === null) return (await import('./stores/sqlite/sqlite-store.ts')).openSqliteStore({ dataDir });
  return (await import('./stores/postgres/postgres-store.ts')).openPostgresStore({ url: databaseUrl.reveal() });
}

async function openAudit({ db }: SqlStore, dataDir: string, { clock, logger }: AccountsParts): Promise<AuditLog> {
  return (await import('./stores/audit-log.ts')).openAuditLog({ db, dataDir, clock, logger });
}

async function openKeyStore({ db }: SqlStore, audit: AuditLog): Promise<ClientKeyStore> {
  const { SqlKeyStore } = await import('./stores/sql/repositories/key-store.ts');
  const append: AuditLog['append'] = (transaction, event) => audit.append(transaction, event);
  return new SqlKeyStore({ db, append, newId: () => Bun.randomUUIDv7() });
}

/** `isNew`: no key that was made before opens anything with it. */
async function openHasher(dataDir: string): Promise<{ readonly hash: HashKey; readonly isNew: boolean }> {
  const [{ loadOrCreatePepper }, { keyHasher }, { pepperFile }] = await Promise.all([
    import('./admission/pepper.ts'),
    import('./admission/key-hash.ts'),
    import('./stores/pepper-file.ts'),
  ]);
  const pepper = await loadOrCreatePepper(pepperFile(dataDir));
  return { hash: keyHasher(pepper.value), isNew: pepper.created };
}

/** What each call used and cost, on record. */
async function openBooks(
  store: SqlStore,
  config: Config,
  { clock, logger, directory, budgets, prices }: BooksParts,
): Promise<Books> {
  const [{ openLedger }, { LedgerBilling }, { UsageRepository }, { UpToDateReports }, { sqliteFileLocks }] =
    await Promise.all([
      import('./usage/ledger/open-ledger.ts'),
      import('./usage/billing/ledger-billing.ts'),
      import('./stores/sql/repositories/usage.ts'),
      import('./usage/ledger/up-to-date-reports.ts'),
      import('./stores/sqlite/file-locks.ts'),
    ]);
  const ledger = await openLedger({
    store,
    clock,
    logger,
    journalFolder: join(config.dataDir, 'journal'),
    locks: sqliteFileLocks,
    newOwnerId: () => Bun.randomUUIDv7(),
  });
  const listed = ({ target, model }: PricedCall) => {
    const snapshot = directory.get(target.id)?.snapshot ?? null;
    return snapshot === null ? null : (modelIndex(snapshot).find(model)?.price ?? null);
  };
  const billing = new LedgerBilling<Price>({
    ledger,
    clock,
    newAttemptId: () => Bun.randomUUIDv7(),
    payerOf: ({ request: { caller }, model }) => ({
      payer: { organisationId: caller.organisationId, projectId: caller.projectId, keyId: caller.keyId },
      hardBudgets: budgets.hardUnits(caller, model),
    }),
    pricing: {
      priceOf: (call) => prices.priceOf({ ...call, listed: listed(call) }),
      estimateNanoUsd: (prompt, output, price, runningMs) => estimateNanoUsd(prompt, output, price, { runningMs }),
      costOf,
      savedNanoUsd: ({ target, model, nowMs }, usage, cost) =>
        target.place === 'cloud' ? 0 : savedNanoUsd(usage, prices.cloudPriceOf(model, nowMs), cost),
    },
  });
  return { billing, reports: new UpToDateReports(new UsageRepository(store.db), ledger), close: () => ledger.close() };
}
