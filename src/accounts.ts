import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BudgetBook } from './admission/budget-book.ts';
import type { BudgetWatch } from './admission/budget-watch.ts';
import { Budgets } from './admission/budgets.ts';
import type { ChangeFollower } from './admission/change-follower.ts';
import { ClientKeys } from './admission/client-keys.ts';
import { KeyBook } from './admission/key-book.ts';
import { pepperCheck } from './admission/key-hash.ts';
import { KeysInForce } from './admission/keys-in-force.ts';
import type { People } from './admission/people.ts';
import type { SharedLimitDesk } from './admission/shared-limits.ts';
import type { Tenants } from './admission/tenants.ts';
import { type Books, openBooks } from './books.ts';
import type { Config } from './config/config.ts';
import { needsClientKey, openHostProblem } from './config/open-host.ts';
import { describeProblem } from './config/problem.ts';
import { type AuditReports, type AuditSink, NO_AUDIT } from './core/audit.ts';
import { type Billing, FREE } from './core/billing.ts';
import { SHARED_SCOPES } from './core/budget.ts';
import { DEFAULT_ORGANISATION } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import type { KeyRecord } from './core/key-store.ts';
import type { LedgerVerification } from './core/ledger-check.ts';
import { NO_SHARED_LIMITS, type SharedLimits, sharedLimits } from './core/limits.ts';
import type { Logger } from './core/logger.ts';
import { Once } from './core/once.ts';
import type { KeptRouting, RoutingStore } from './core/routing.ts';
import type { StoreChange } from './core/store-changes.ts';
import type { UsageReports } from './core/usage-report.ts';
import type { ProviderFetch } from './identity/oidc-provider.ts';
import { closeStore, type Opened, openStore } from './open-store.ts';
import { PeopleDesks, type PeopleFromProvider } from './people-desks.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { AuditLog } from './stores/audit-log.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import { STORE_FILE } from './stores/sqlite/store-file.ts';
import type { LedgerState } from './usage/ledger/ledger-watch.ts';
import type { ConfiguredPrices, OperatorPrices } from './usage/prices/operator-prices.ts';

export interface AccountsParts {
  /** For identity providers. */
  readonly fetch: () => Promise<ProviderFetch>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: TargetDirectory;
  /** Told of aliases and routes that are kept: at the start, and when another gateway changed them. */
  readonly routing: { refresh(read: () => Promise<KeptRouting>): Promise<void> };
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
  readonly #inForce: KeysInForce;
  readonly #config: Config;
  readonly #parts: AccountsParts;
  #opened: Opened | null = null;
  readonly #opening = new Once(() => this.#openParts());
  #books: Books | null = null;
  #keepingBooks: Once<Books> | null = null;
  /** Null: nobody else changes this store. */
  #follower: ChangeFollower | null = null;
  #pepperIsDoubted = false;
  /** Of organisations, projects and models, soft ones too. */
  #sharedBudgets = 0;
  #closing: Promise<void> | null = null;
  #configuredPrices: ConfiguredPrices;
  #prices: OperatorPrices | null = null;
  readonly #readingPrices = new Once(() => this.#readPrices());
  #sharedLimits: SharedLimits = NO_SHARED_LIMITS;
  readonly #peopleDesks: PeopleDesks;

  private constructor(config: Config, parts: AccountsParts) {
    this.#config = config;
    this.#configuredPrices = config;
    this.#parts = parts;
    // Without a store no key exists whose hash could be asked for.
    this.book = new KeyBook((text) => this.#opened?.hash(text) ?? '');
    this.#inForce = new KeysInForce(this.book, this.budgets);
    const { fetch, clock, logger } = parts;
    this.#peopleDesks = new PeopleDesks({ oidc: config.oidc, fetch, clock, logger, open: () => this.#open() });
  }

  /** Rejects, and leaves nothing open, where others can reach the gateway and no key keeps them out. */
  static async open(config: Config, parts: AccountsParts): Promise<Accounts> {
    const accounts = new Accounts(config, parts);
    const { usage, databaseUrl, oidc, dataDir } = config;
    const isThere = databaseUrl !== null || existsSync(join(dataDir, STORE_FILE));
    // Without a store there is no client key: none is made for a gateway that does not start.
    if (!isThere) refuseStrangers(config, accounts.book);
    if (usage || oidc !== null || isThere) await accounts.store();
    try {
      refuseStrangers(config, accounts.book);
    } catch (error) {
      await accounts.close();
      throw error;
    }
    return accounts;
  }

  /** Null: not kept. */
  get reports(): UsageReports | null {
    return this.#books?.reports ?? null;
  }

  /** How much of their limits budgets have used, the highest first; none while nothing is kept. */
  budgetsUsed(): ReturnType<BudgetWatch['used']> {
    return this.#books?.watch.used() ?? [];
  }

  /** What the latest check of the ledger found; null: none was made. */
  get ledgerChecked(): LedgerState | null {
    return this.#books?.ledgerWatch.state ?? null;
  }

  /** Null: there is no store. */
  get auditReports(): AuditReports | null {
    return this.#opened?.audit ?? null;
  }

  /** Null: there is no store. */
  get ledgerVerification(): LedgerVerification | null {
    return this.#opened?.verification ?? null;
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
  keysIfAny(): Promise<ClientKeys | null> {
    return this.#ifAny(() => this.keys());
  }

  /** To make, change and end client keys; opens the store. */
  async keys(): Promise<ClientKeys> {
    const opened = await this.#open();
    const { keys, hash } = opened;
    return new ClientKeys({
      ...{ store: keys, inForce: this.#inForce, hash, clock: this.#parts.clock },
      newId: () => `key_${Bun.randomUUIDv7()}`,
      beforeReading: async () => this.#books?.ledger.flush(),
      onStored: () => this.#keepBooks(opened),
    });
  }

  /** To set limits for organisations, projects and models; opens the store. */
  async sharedBudgets(): Promise<Budgets> {
    const opened = await this.#open();
    const { store, budgets } = opened;
    return new Budgets({
      ...{ store: budgets, clock: this.#parts.clock, newId: () => `bud_${Bun.randomUUIDv7()}` },
      beforeReading: async () => this.#books?.ledger.flush(),
      onStored: async () => {
        await this.#readSharedBudgets(store);
        await this.#keepBooks(opened);
      },
    });
  }

  /** Null: there is no store, and so no budget. To look makes none. */
  sharedBudgetsIfAny(): Promise<Budgets | null> {
    return this.#ifAny(() => this.sharedBudgets());
  }

  /** Those of organisations, projects and models that requests are checked against. */
  get sharedLimits(): SharedLimits {
    return this.#sharedLimits;
  }

  /** To set limits that several keys share; opens the store. */
  async limits(): Promise<SharedLimitDesk> {
    const [{ store, audit }, { SharedLimitDesk }, { recordedSharedLimits, recordedTenants }] = await Promise.all([
      this.#open(),
      import('./admission/shared-limits.ts'),
      import('./stores/recorded-tenants.ts'),
    ]);
    const tenants = recordedTenants(store.db, audit);
    return new SharedLimitDesk({
      store: recordedSharedLimits(store.db, audit),
      projects: async (organisation) => (await tenants.projects(organisation)).map(({ projectId }) => projectId),
      onStored: () => this.#readSharedLimits(store),
    });
  }

  /** Null: there is no store, and so no limit. To look makes none. */
  limitsIfAny(): Promise<SharedLimitDesk | null> {
    return this.#ifAny(() => this.limits());
  }

  /** To make organisations and projects; opens the store. */
  async tenants(): Promise<Tenants> {
    const [{ store, audit }, { Tenants }, { recordedTenants }] = await Promise.all([
      this.#open(),
      import('./admission/tenants.ts'),
      import('./stores/recorded-tenants.ts'),
    ]);
    return new Tenants(recordedTenants(store.db, audit), this.#parts.clock);
  }

  /** Null: there is no store, and so nothing but `default`. To look makes none. */
  tenantsIfAny(): Promise<Tenants | null> {
    return this.#ifAny(() => this.tenants());
  }

  /** People and machines of the admin API; opens the store. */
  people(): Promise<People> {
    return this.#peopleDesks.people();
  }

  /** Logins at the identity provider; null: there is none. */
  oidcLogins(): Promise<PeopleFromProvider> | null {
    return this.#peopleDesks.oidcLogins();
  }

  /** Null: there is no store, and so nobody. To look makes none. */
  peopleIfAny(): Promise<People | null> {
    return this.#ifAny(() => this.people());
  }

  /** To look makes no store. */
  async #ifAny<Desk>(open: () => Promise<Desk>): Promise<Desk | null> {
    return this.#opening.begun ? open() : null;
  }

  /** From the first key on, what is used is on record: in one ledger, however many first keys are made at once. */
  async #keepBooks(opened: Opened): Promise<void> {
    this.#keepingBooks ??= new Once(() => this.#openBooks(opened));
    this.#books = await this.#keepingBooks.get();
  }

  /** The prices in force. Setting the first one makes a store where there is none. */
  prices(): Promise<OperatorPrices> {
    return this.#readingPrices.get();
  }

  /** Where aliases and routes are kept; opens the store. */
  async routingStore(): Promise<RoutingStore> {
    const [{ store, audit }, { recordedRouting }] = await Promise.all([
      this.#open(),
      import('./stores/recorded-routing.ts'),
    ]);
    return recordedRouting(store.db, audit);
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
    await this.#follower?.stop();
    await this.#books?.close();
    await this.#opened?.audit.close();
    await this.#opened?.store.close();
    this.#opened?.folder?.release();
  }

  async #openBooks({ store, verification }: Opened): Promise<Books> {
    const prices = await this.prices();
    // While the store is being opened nobody else could have read them.
    if (this.#opened === null) await this.#readPricesAnew(store);
    const verify: LedgerVerification['verify'] = () => verification.verify();
    const { budgets, audit } = this;
    const keyName = (id: string): string | null => this.book.byId(id)?.name ?? null;
    return openBooks(store, this.#config, { ...this.#parts, budgets, keyName, audit, verify, prices });
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
      store: async () => {
        const { store, audit } = await this.#open();
        return recordedPrices(store.db, audit);
      },
      wallMs: () => clock.wallMs(),
      logger,
    });
    // From here on it is told of changes.
    this.#prices = prices;
    const opened = this.#opened;
    if (opened !== null) await prices.refresh(() => new PriceRepository(opened.store.db).all());
    return prices;
  }

  #open(): Promise<Opened> {
    return this.#opening.get();
  }

  async #openParts(): Promise<Opened> {
    const { clock, logger } = this.#parts;
    const opened = await openStore(this.#config, { clock, logger, ledger: () => this.#books?.ledger ?? null });
    try {
      await this.#takeIntoUse(opened);
      return opened;
    } catch (error) {
      this.#keepingBooks = null;
      await closeStore(opened, logger);
      throw error;
    }
  }

  async #takeIntoUse(opened: Opened): Promise<void> {
    const { store, keys } = opened;
    // Made before anything is read, so that no change falls in between.
    const follower = this.#config.databaseUrl === null ? null : await this.#followerOf(opened);
    const records = await keys.all(this.#parts.clock.wallMs());
    await this.#readSharedBudgets(store);
    await this.#readSharedLimits(store);
    await this.#readRouting(store);
    await this.#checkPepper(opened, records.length);
    if (this.#config.usage || records.length > 0 || this.#sharedBudgets > 0) await this.#keepBooks(opened);
    // Nothing may fail from here on: what is closed again after a failure must not be in use.
    this.#opened = opened;
    this.#inForce.replace(records);
    this.#follower = follower;
    follower?.start();
  }

  /** Somebody is to be kept apart from somebody else, or limited. */
  #isInUse(): boolean {
    return this.book.size > 0 || this.#sharedBudgets > 0;
  }

  async #readSharedBudgets({ db }: SqlStore): Promise<void> {
    const { BudgetRepository } = await import('./stores/sql/repositories/budgets.ts');
    const states = await new BudgetRepository(db).states(this.#parts.clock.wallMs(), { scopes: SHARED_SCOPES });
    this.budgets.replaceShared(states);
    this.#sharedBudgets = states.length;
  }

  async #readSharedLimits({ db }: SqlStore): Promise<void> {
    const { SharedLimitRepository } = await import('./stores/sql/repositories/shared-limits.ts');
    this.#sharedLimits = sharedLimits(await new SharedLimitRepository(db).all());
  }

  async #readRouting({ db }: SqlStore): Promise<void> {
    const { RoutingRepository } = await import('./stores/sql/repositories/routing.ts');
    await this.#parts.routing.refresh(() => new RoutingRepository(db, DEFAULT_ORGANISATION).all());
  }

  /** Nothing to do for prices that nobody asked for yet: they are read when somebody does. */
  async #readPricesAnew({ db }: SqlStore): Promise<void> {
    if (!this.#readingPrices.begun) return;
    const [prices, { PriceRepository }] = await Promise.all([
      this.prices(),
      import('./stores/sql/repositories/prices.ts'),
    ]);
    await prices.refresh(() => new PriceRepository(db).all());
  }

  async #followerOf(opened: Opened): Promise<ChangeFollower> {
    const [{ ChangeFollower }, { ChangeRepository }] = await Promise.all([
      import('./admission/change-follower.ts'),
      import('./stores/sql/repositories/changes.ts'),
    ]);
    const changes = new ChangeRepository(opened.store.db);
    const { clock, logger } = this.#parts;
    const follow = (found: readonly StoreChange[] | null) => this.#follow(opened, found);
    return new ChangeFollower({ changes, from: await changes.ends(), clock, logger, follow });
  }

  /** Puts in force what another gateway changed. Null: whatever it was. */
  async #follow(opened: Opened, changes: readonly StoreChange[] | null): Promise<void> {
    const isOf = (...kinds: readonly string[]) =>
      changes === null || changes.some(({ action }) => kinds.some((kind) => action.startsWith(`${kind}.`)));
    if (isOf('budget')) await this.#readSharedBudgets(opened.store);
    if (isOf('limit')) await this.#readSharedLimits(opened.store);
    if (isOf('alias', 'route')) await this.#readRouting(opened.store);
    if (isOf('price')) await this.#readPricesAnew(opened.store);
    const records = await this.#changedKeys(opened, changes);
    // First: whoever has the key may call with it as soon as it is known.
    if (records.length > 0 || this.#isInUse()) await this.#keepBooks(opened);
    for (const record of records) this.#inForce.put(record);
    if (records.length > 0) await this.#checkPepper(opened, this.book.size);
  }

  #changedKeys({ keys }: Opened, changes: readonly StoreChange[] | null): Promise<readonly KeyRecord[]> {
    const nowMs = this.#parts.clock.wallMs();
    if (changes === null) return keys.all(nowMs);
    const ids = changes.flatMap(({ action, subject }) =>
      action.startsWith('key.') ? [subject.slice('key:'.length)] : [],
    );
    return keys.some([...new Set(ids)], nowMs);
  }

  /** Says once that keys do not open anything here which open something elsewhere, or did. */
  async #checkPepper({ keys, hash, pepperIsNew }: Opened, keyCount: number): Promise<void> {
    if (this.#pepperIsDoubted || keyCount === 0) return;
    const known = await keys.pepperCheck();
    const isWrong = known === null ? pepperIsNew : known !== pepperCheck(hash);
    if (!isWrong) return;
    this.#pepperIsDoubted = true;
    const where = this.#config.keyPepper === null ? join(this.#config.dataDir, 'key-pepper') : 'SWARMROUTER_KEY_PEPPER';
    this.#parts.logger.error({ keys: keyCount, pepper: where }, PEPPER_IS_WRONG);
  }
}

/** @throws Error when others can reach the gateway and no key keeps them out: neither one that was set nor a client key. */
function refuseStrangers(config: Config, { size }: KeyBook): void {
  if (needsClientKey(config) && size === 0) throw new Error(describeProblem(openHostProblem(config)));
}

const PEPPER_IS_WRONG =
  'client keys are hashed with another pepper here than those in the store, so that these open nothing. Put it back from a backup and start again; give several gateways on one database the same SWARMROUTER_KEY_PEPPER; if it is lost, rotate the keys.';
