import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BudgetBook } from './admission/budget-book.ts';
import { KeyBook } from './admission/key-book.ts';
import type { HashKey } from './admission/key-hash.ts';
import type { Config } from './config/config.ts';
import { type Billing, FREE } from './core/billing.ts';
import type { Clock } from './core/clock.ts';
import type { Ledger } from './core/ledger.ts';
import type { Logger } from './core/logger.ts';
import { costOf, estimateNanoUsd, type Price, savedNanoUsd } from './core/price.ts';
import type { UsageReports } from './core/usage-report.ts';
import { modelIndex } from './router/model-index.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import { STORE_FILE } from './stores/sqlite/store-file.ts';
import type { PricedCall } from './usage/billing/pricing.ts';

export interface AccountsParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: TargetDirectory;
}

interface BooksParts extends AccountsParts {
  readonly budgets: BudgetBook;
}

/** What stands on the store. */
interface Opened {
  readonly store: SqlStore;
  readonly hash: HashKey;
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
  readonly billing: Billing = { open: (purchase) => (this.#books?.billing ?? FREE).open(purchase) };
  readonly #config: Config;
  readonly #parts: AccountsParts;
  #opened: Opened | null = null;
  #opening: Promise<Opened> | null = null;
  #books: Books | null = null;
  #closing: Promise<void> | null = null;

  private constructor(config: Config, parts: AccountsParts) {
    this.#config = config;
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

  /** Opens it where it is not open, and makes it where there is none. */
  async store(): Promise<SqlStore> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return (await this.#opening).store;
  }

  /** From the first key on, what is used is on record. */
  async keepBooks(): Promise<void> {
    const store = await this.store();
    this.#books ??= await this.#openBooks(store);
  }

  /** Harmless when it has been closed already. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#books?.close();
    await this.#opened?.store.close();
  }

  #openBooks(store: SqlStore): Promise<Books> {
    return openBooks(store, this.#config, { ...this.#parts, budgets: this.budgets });
  }

  async #open(): Promise<Opened> {
    const [store, hash] = await Promise.all([openStore(this.#config), openHasher(this.#config.dataDir)]);
    const opened = { store, hash };
    const keys = await readAccounts(store, this.#parts.clock.wallMs());
    this.#opened = opened;
    this.book.replace(keys.clientKeys);
    this.budgets.replace(keys.budgets);
    if (this.#config.usage || this.book.size > 0) this.#books = await this.#openBooks(store);
    return opened;
  }
}

/** What ended a moment ago may be in the ledger's journal only: it is brought to the store before it is reported on. */
function upToDate(reports: UsageReports, ledger: Ledger): UsageReports {
  return {
    async sums(query) {
      await ledger.flush();
      return reports.sums(query);
    },
    async *export(scope) {
      await ledger.flush();
      yield* reports.export(scope);
    },
  };
}

async function openStore({ databaseUrl, dataDir }: Config): Promise<SqlStore> {
  if (databaseUrl === null) return (await import('./stores/sqlite/sqlite-store.ts')).openSqliteStore({ dataDir });
  return (await import('./stores/postgres/postgres-store.ts')).openPostgresStore({ url: databaseUrl.reveal() });
}

/** All keys and budgets of the store. */
async function readAccounts(store: SqlStore, nowMs: number) {
  const [{ ClientKeyRepository }, { BudgetRepository }, { clientKeyOf }] = await Promise.all([
    import('./stores/sql/repositories/client-keys.ts'),
    import('./stores/sql/repositories/budgets.ts'),
    import('./stores/sql/repositories/key-records.ts'),
  ]);
  const [stored, budgets] = await Promise.all([
    new ClientKeyRepository(store.db).all(),
    new BudgetRepository(store.db).states(nowMs),
  ]);
  const ofKeys = Map.groupBy(
    budgets.filter(({ scope }) => scope === 'key'),
    ({ organisationId, scopeId }) => `${organisationId}\n${scopeId}`,
  );
  const clientKeys = stored.map((key) => clientKeyOf(key, ofKeys.get(`${key.organisationId}\n${key.keyId}`) ?? []));
  return { clientKeys, budgets };
}

async function openHasher(dataDir: string): Promise<HashKey> {
  const [{ loadOrCreatePepper }, { keyHasher }, { pepperFile }] = await Promise.all([
    import('./admission/pepper.ts'),
    import('./admission/key-hash.ts'),
    import('./stores/pepper-file.ts'),
  ]);
  return keyHasher((await loadOrCreatePepper(pepperFile(dataDir))).value);
}

/** What each call used and cost, on record. */
async function openBooks(
  store: SqlStore,
  config: Config,
  { clock, logger, directory, budgets }: BooksParts,
): Promise<Books> {
  const [{ openLedger }, { LedgerBilling }, { PriceBook }, { UsageRepository }, { sqliteFileLocks }] =
    await Promise.all([
      import('./usage/ledger/open-ledger.ts'),
      import('./usage/billing/ledger-billing.ts'),
      import('./usage/prices/price-book.ts'),
      import('./stores/sql/repositories/usage.ts'),
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
  const prices = new PriceBook();
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
      estimateNanoUsd: (prompt, output, price) => estimateNanoUsd(prompt, output, price),
      costOf,
      savedNanoUsd: ({ target, model, nowMs }, usage, cost) =>
        target.place === 'cloud' ? 0 : savedNanoUsd(usage, prices.cloudPriceOf(model, nowMs), cost),
    },
  });
  return { billing, reports: upToDate(new UsageRepository(store.db), ledger), close: () => ledger.close() };
}
