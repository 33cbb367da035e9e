import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BudgetBook } from './admission/budget-book.ts';
import type { BudgetWatch } from './admission/budget-watch.ts';
import { Budgets } from './admission/budgets.ts';
import type { ChangeFollower } from './admission/change-follower.ts';
import { ClientKeys } from './admission/client-keys.ts';
import type { Identities, VouchedLogin } from './admission/identities.ts';
import { KeyBook } from './admission/key-book.ts';
import { type HashKey, keyHasher, pepperCheck } from './admission/key-hash.ts';
import { KeysInForce } from './admission/keys-in-force.ts';
import { LoginThrottle } from './admission/login-throttle.ts';
import type { People } from './admission/people.ts';
import type { SharedLimitDesk } from './admission/shared-limits.ts';
import type { Tenants } from './admission/tenants.ts';
import type { Config } from './config/config.ts';
import { type AuditReports, type AuditSink, NO_AUDIT } from './core/audit.ts';
import { type Billing, FREE } from './core/billing.ts';
import { SHARED_SCOPES } from './core/budget.ts';
import type { BudgetStore } from './core/budget-store.ts';
import { DEFAULT_ORGANISATION } from './core/caller.ts';
import type { Clock } from './core/clock.ts';
import type { ClientKeyStore, KeyRecord } from './core/key-store.ts';
import type { Ledger } from './core/ledger.ts';
import type { LedgerVerification } from './core/ledger-check.ts';
import { NO_SHARED_LIMITS, type SharedLimits, sharedLimits } from './core/limits.ts';
import type { Logger } from './core/logger.ts';
import type { OidcSettings } from './core/oidc.ts';
import { costOf, estimateNanoUsd, type Price, savedNanoUsd, usdPerMillionTokens } from './core/price.ts';
import type { KeptRouting, RoutingStore } from './core/routing.ts';
import type { StoreChange } from './core/store-changes.ts';
import type { UsageReports } from './core/usage-report.ts';
import type { OidcLogins } from './identity/oidc-logins.ts';
import type { ProviderFetch } from './identity/oidc-provider.ts';
import { modelIndex } from './router/model-index.ts';
import type { TargetDirectory } from './router/targets.ts';
import type { AuditLog } from './stores/audit-log.ts';
import type { SqlStore } from './stores/sql/sql-store.ts';
import { STORE_FILE } from './stores/sqlite/store-file.ts';
import type { PricedCall } from './usage/billing/pricing.ts';
import type { LedgerState, LedgerWatch } from './usage/ledger/ledger-watch.ts';
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

/** What lets people in whom the identity provider vouches for. */
export type PeopleFromProvider = OidcLogins<
  Extract<VouchedLogin, { ok: true }>,
  Extract<VouchedLogin, { ok: false }>['reason']
>;

interface BooksParts extends Omit<AccountsParts, 'fetch'> {
  readonly budgets: BudgetBook;
  readonly audit: AuditSink;
  readonly verify: LedgerVerification['verify'];
  readonly prices: OperatorPrices;
}

/** What stands on the store. */
interface Opened {
  readonly store: SqlStore;
  readonly hash: HashKey;
  /** The pepper was made at this start. */
  readonly pepperIsNew: boolean;
  readonly audit: AuditLog;
  readonly keys: ClientKeyStore;
  readonly budgets: BudgetStore;
  readonly verification: LedgerVerification;
}

interface Books {
  readonly billing: Billing;
  readonly reports: UsageReports;
  readonly ledger: Ledger;
  readonly watch: BudgetWatch;
  readonly ledgerWatch: LedgerWatch;
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
  readonly #inForce: KeysInForce;
  readonly #config: Config;
  readonly #parts: AccountsParts;
  #opened: Opened | null = null;
  #opening: Promise<Opened> | null = null;
  #books: Books | null = null;
  /** Null: nobody else changes this store. */
  #follower: ChangeFollower | null = null;
  #pepperIsDoubted = false;
  /** Of organisations, projects and models, soft ones too. */
  #sharedBudgets = 0;
  #closing: Promise<void> | null = null;
  #configuredPrices: ConfiguredPrices;
  #prices: OperatorPrices | null = null;
  #readingPrices: Promise<OperatorPrices> | null = null;
  #sharedLimits: SharedLimits = NO_SHARED_LIMITS;
  readonly #throttle: LoginThrottle;
  #oidcLogins: Promise<PeopleFromProvider> | null = null;

  private constructor(config: Config, parts: AccountsParts) {
    this.#config = config;
    this.#configuredPrices = config;
    this.#parts = parts;
    // Without a store no key exists whose hash could be asked for.
    this.book = new KeyBook((text) => this.#opened?.hash(text) ?? '');
    this.#inForce = new KeysInForce(this.book, this.budgets);
    this.#throttle = new LoginThrottle(parts.clock);
  }

  static async open(config: Config, parts: AccountsParts): Promise<Accounts> {
    const accounts = new Accounts(config, parts);
    const { usage, databaseUrl, oidc, dataDir } = config;
    if (usage || databaseUrl !== null || oidc !== null || existsSync(join(dataDir, STORE_FILE))) await accounts.store();
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
  async keysIfAny(): Promise<ClientKeys | null> {
    return this.#opening === null ? null : this.keys();
  }

  /** To make, change and end client keys; opens the store. */
  async keys(): Promise<ClientKeys> {
    const { keys, hash } = await this.#open();
    return new ClientKeys({
      ...{ store: keys, inForce: this.#inForce, hash, clock: this.#parts.clock },
      newId: () => `key_${Bun.randomUUIDv7()}`,
      onStored: () => this.#keepBooks(),
    });
  }

  /** To set limits for organisations, projects and models; opens the store. */
  async sharedBudgets(): Promise<Budgets> {
    const { store, budgets } = await this.#open();
    return new Budgets({
      ...{ store: budgets, clock: this.#parts.clock, newId: () => `bud_${Bun.randomUUIDv7()}` },
      onStored: async () => {
        await this.#readSharedBudgets(store);
        await this.#keepBooks();
      },
    });
  }

  /** Null: there is no store, and so no budget. To look makes none. */
  async sharedBudgetsIfAny(): Promise<Budgets | null> {
    return this.#opening === null ? null : this.sharedBudgets();
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
  async limitsIfAny(): Promise<SharedLimitDesk | null> {
    return this.#opening === null ? null : this.limits();
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
  async tenantsIfAny(): Promise<Tenants | null> {
    return this.#opening === null ? null : this.tenants();
  }

  /** People and machines of the admin API; opens the store. */
  async people(): Promise<People> {
    const [{ store, audit, hash }, { People }, { recordedPeople }] = await Promise.all([
      this.#open(),
      import('./admission/people.ts'),
      import('./stores/recorded-people.ts'),
    ]);
    return new People({
      ...{ store: recordedPeople(store.db, audit), hash, clock: this.#parts.clock, throttle: this.#throttle },
      newId: (kind) => `${kind}_${Bun.randomUUIDv7()}`,
      issuer: this.#config.oidc?.issuer ?? null,
    });
  }

  /** Logins at the identity provider; null: there is none. */
  oidcLogins(): Promise<PeopleFromProvider> | null {
    const { oidc } = this.#config;
    if (oidc === null) return null;
    this.#oidcLogins ??= this.#openOidcLogins(oidc);
    return this.#oidcLogins;
  }

  async #openOidcLogins(settings: OidcSettings): Promise<PeopleFromProvider> {
    const [{ OidcLogins }, { OidcProvider }, fetch] = await Promise.all([
      import('./identity/oidc-logins.ts'),
      import('./identity/oidc-provider.ts'),
      this.#parts.fetch(),
    ]);
    const { clock, logger } = this.#parts;
    const { issuer } = settings;
    return new OidcLogins({
      ...{ issuer, clock, logger, throttle: this.#throttle },
      provider: new OidcProvider({ settings, fetch, clock, logger }),
      seal: async () => (await this.#open()).hash,
      enter: async (vouched, begunWith, from) => (await this.#identities(issuer)).enter(vouched, begunWith, from),
    });
  }

  async #identities(issuer: string): Promise<Identities> {
    const [{ store, audit }, { Identities }, { recordedPeople }] = await Promise.all([
      this.#open(),
      import('./admission/identities.ts'),
      import('./stores/recorded-people.ts'),
    ]);
    return new Identities({
      ...{ store: recordedPeople(store.db, audit), clock: this.#parts.clock, issuer },
      newId: (kind) => `${kind}_${Bun.randomUUIDv7()}`,
    });
  }

  /** Null: there is no store, and so nobody. To look makes none. */
  async peopleIfAny(): Promise<People | null> {
    return this.#opening === null ? null : this.people();
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
  }

  async #openBooks(store: SqlStore): Promise<Books> {
    const prices = await this.prices();
    const verify: LedgerVerification['verify'] = async () => (await this.#open()).verification.verify();
    const { budgets, audit } = this;
    return openBooks(store, this.#config, { ...this.#parts, budgets, audit, verify, prices });
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
    this.#opening ??= this.#openParts().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #openParts(): Promise<Opened> {
    const [store, { hash, isNew }] = await Promise.all([openStore(this.#config), openHasher(this.#config)]);
    await takeSound(store, this.#parts);
    const audit = await openAudit(store, this.#config, hash, this.#parts);
    const keys = await openKeyStore(store, audit, pepperCheck(hash));
    const verification = await openVerification(store, () => this.#books?.ledger ?? null);
    const budgets = await openBudgetStore(store, audit);
    const opened = { store, hash, pepperIsNew: isNew, audit, keys, budgets, verification };
    // Made before anything is read, so that no change falls in between.
    const follower = this.#config.databaseUrl === null ? null : await this.#followerOf(opened);
    const records = await keys.all(this.#parts.clock.wallMs());
    await this.#readSharedBudgets(store);
    await this.#readSharedLimits(store);
    await this.#readRouting(store);
    this.#opened = opened;
    this.#inForce.replace(records);
    await this.#checkPepper(opened);
    if (this.#config.usage || this.#isInUse()) this.#books = await this.#openBooks(store);
    this.#follower = follower;
    follower?.start();
    return opened;
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
    if (this.#readingPrices === null) return;
    const [prices, { PriceRepository }] = await Promise.all([
      this.#readingPrices,
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
    if (records.length > 0 || this.#isInUse()) await this.#keepBooks();
    for (const record of records) this.#inForce.put(record);
    if (records.length > 0) await this.#checkPepper(opened);
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
  async #checkPepper({ keys, hash, pepperIsNew }: Opened): Promise<void> {
    if (this.#pepperIsDoubted || this.book.size === 0) return;
    const known = await keys.pepperCheck();
    const isWrong = known === null ? pepperIsNew : known !== pepperCheck(hash);
    if (!isWrong) return;
    this.#pepperIsDoubted = true;
    const where = this.#config.keyPepper === null ? join(this.#config.dataDir, 'key-pepper') : 'SWARMROUTER_KEY_PEPPER';
    this.#parts.logger.error({ keys: this.book.size, pepper: where }, PEPPER_IS_WRONG);
  }
}

const PEPPER_IS_WRONG =
  'client keys are hashed with another pepper here than those in the store, so that these open nothing. Put it back from a backup and start again; give several gateways on one database the same SWARMROUTER_KEY_PEPPER; if it is lost, rotate the keys.';

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

async function openAudit(
  { db }: SqlStore,
  { dataDir, databaseUrl }: Config,
  hash: HashKey,
  { clock, logger }: AccountsParts,
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

/** What each call used and cost, on record. */
async function openBooks(
  store: SqlStore,
  config: Config,
  { clock, logger, directory, budgets, audit, verify, prices }: BooksParts,
): Promise<Books> {
  const [{ openLedger }, { LedgerBilling }, { UsageRepository }, { UpToDateReports }, { sqliteFileLocks }, budgeting] =
    await Promise.all([
      import('./usage/ledger/open-ledger.ts'),
      import('./usage/billing/ledger-billing.ts'),
      import('./stores/sql/repositories/usage.ts'),
      import('./usage/ledger/up-to-date-reports.ts'),
      import('./stores/sqlite/file-locks.ts'),
      Promise.all([import('./admission/budget-watch.ts'), import('./stores/sql/repositories/budgets.ts')]),
    ]);
  const [{ BudgetWatch }, { BudgetRepository }] = budgeting;
  const [{ LedgerWatch }, { journalOwners }] = await Promise.all([
    import('./usage/ledger/ledger-watch.ts'),
    import('./usage/ledger/adopt-journals.ts'),
  ]);
  const journalFolder = join(config.dataDir, 'journal');
  // A process that ends properly leaves none.
  const afterCrash = (await journalOwners(journalFolder)).length > 0;
  const ledger = await openLedger({
    store,
    clock,
    logger,
    journalFolder,
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
    usualOutputTokens: config.budgetAnswerTokens,
    payerOf: ({ request: { caller }, model: asked }) => {
      const { organisationId, projectId, keyId } = caller;
      const model = budgets.modelName(organisationId, asked);
      return { payer: { organisationId, projectId, keyId }, model, hardBudgets: budgets.hardUnits(caller, model) };
    },
    pricing: {
      priceOf: (call) => prices.priceOf({ ...call, listed: listed(call) }),
      estimateNanoUsd: (prompt, output, price, runningMs) => estimateNanoUsd(prompt, output, price, { runningMs }),
      usdPerMillionTokens,
      costOf,
      savedNanoUsd: ({ target, model, nowMs }, usage, cost) =>
        target.place === 'cloud' ? 0 : savedNanoUsd(usage, prices.cloudPriceOf(model, nowMs), cost),
    },
  });
  const budgetRows = new BudgetRepository(store.db);
  const watch = new BudgetWatch({ read: () => budgetRows.states(clock.wallMs()), clock, logger });
  watch.start();
  const ledgerWatch = new LedgerWatch({ verification: { verify }, clock, logger, audit, afterCrash });
  ledgerWatch.start();
  return {
    billing,
    reports: new UpToDateReports(new UsageRepository(store.db), ledger),
    ledger,
    watch,
    ledgerWatch,
    close: async () => {
      await ledgerWatch.stop();
      await watch.stop();
      await ledger.close();
    },
  };
}
