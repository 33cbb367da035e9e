import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keyHasher, pepperCheck } from '../../src/admission/key-hash.ts';
import type { AuditOrigin } from '../../src/core/audit.ts';
import type { BudgetLimit, ClientKey } from '../../src/core/client-key.ts';
import type { KeyRecord } from '../../src/core/key-store.ts';
import type { KeptAlias, KeptRoute } from '../../src/core/routing.ts';
import { Secret } from '../../src/core/secret.ts';
import { type AuditLog, openAuditLog } from '../../src/stores/audit-log.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { SqlKeyStore } from '../../src/stores/sql/repositories/key-store.ts';
import { PeopleRepository } from '../../src/stores/sql/repositories/people.ts';
import { PriceRepository } from '../../src/stores/sql/repositories/prices.ts';
import { RoutingRepository } from '../../src/stores/sql/repositories/routing.ts';
import { SharedLimitRepository } from '../../src/stores/sql/repositories/shared-limits.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import type { SqlStore } from '../../src/stores/sql/sql-store.ts';
import type { Tables } from '../../src/stores/sql/tables.ts';
import { madeKey, versionOf } from '../support/client-keys.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { ending, NOON_MS, openAt, type StorePlace, starting } from './store-support.ts';

export const TWINS = ['a', 'b'] as const;
export type Twin = (typeof TWINS)[number];

export const ORIGIN: AuditOrigin = {
  actor: { kind: 'admin', id: 'admin-key' },
  ...{ peerAddress: null, requestId: null },
};
const MONTHLY: BudgetLimit = { unit: 'usd', limit: 20e9, window: 'month', hard: true };
const DAILY: BudgetLimit = { unit: 'tokens', limit: 1_000, window: 'day', hard: false };
const RIGHTS = { strategy: null, streamRecovery: null, maxFirstTokenMs: null };

/** What an organisation has, told from its twin's only by its names and secrets; the ids and revisions are the same. */
export const of = (organisationId: Twin) => {
  const common = { organisationId, createdAtMs: 1 };
  const grants = [{ role: 'member', projectId: null }] as const;
  return {
    user: {
      ...{ ...common, id: 'same', name: `olga-${organisationId}`, grants },
      ...{ disabledAtMs: null, identity: null, revision: 1 },
    },
    token: {
      ...{ ...common, id: 'same', name: `bot-${organisationId}`, grants },
      ...{ prefix: 'p', lastFour: 'last', expiresAtMs: null, revokedAtMs: null },
    },
    session: { ...common, hash: `session-${organisationId}`, userId: 'same', seenAtMs: 1 },
    project: { ...common, projectId: 'web', name: `web-${organisationId}`, revision: 1 },
    organisation: { ...common, name: `organisation-${organisationId}`, revision: 1 },
    limit: (scopeId: string) => ({
      ...{ organisationId, scope: 'project' as const, scopeId, revision: 1 },
      limits: { rpm: organisationId === 'a' ? 10 : 20, tpm: null, concurrent: null },
    }),
    price: (model: string) => ({
      ...{ organisationId, provider: null, model, rates: { input: organisationId === 'a' ? 1 : 2 } },
      ...{ updatedAtMs: 1, revision: 1 },
    }),
    alias: (name: string): KeptAlias => ({ name, target: `model-${organisationId}`, revision: 1, updatedAtMs: 1 }),
    route: (name: string): KeptRoute => ({
      ...{ name, revision: 1, updatedAtMs: 1 },
      settings: { ...RIGHTS, strategy: organisationId === 'a' ? 'fastest' : 'local-first' },
    }),
  };
};

/** A store with two organisations whose things all have the same ids. */
export class TwinStore {
  readonly store: SqlStore;
  readonly audit: AuditLog;
  readonly keys: SqlKeyStore;
  /** Both keys are called `same`; b's has two texts more, and is younger. */
  readonly key: Readonly<Record<Twin, KeyRecord>>;
  readonly #dataDir: string;

  private constructor(store: SqlStore, audit: AuditLog, dataDir: string) {
    this.store = store;
    this.audit = audit;
    this.#dataDir = dataDir;
    let count = 0;
    this.keys = new SqlKeyStore({
      ...{ db: store.db, append: (transaction, event) => audit.append(transaction, event) },
      ...{ newId: () => `budget-${count++ % 2}`, pepperCheck: pepperCheck(keyHasher(new Secret('5e'.repeat(32)))) },
    });
    this.key = { a: keyOf('a', 1), b: keyOf('b', 3) };
  }

  static async at(place: StorePlace): Promise<TwinStore> {
    const dataDir = await mkdtemp(join(tmpdir(), 'swarmrouter-twins-'));
    const store = await openAt(place);
    const note = (): void => undefined;
    const logger = { debug: note, info: note, warn: note, error: note };
    const audit = await openAuditLog({ db: store.db, dataDir, clock: new ManualClock(), logger });
    const twins = new TwinStore(store, audit, dataDir);
    for (const twin of TWINS) await twins.#fill(twin);
    return twins;
  }

  async close(): Promise<void> {
    await this.audit.close();
    await this.store.close();
    await rm(this.#dataDir, { recursive: true, force: true });
  }

  async #fill(twin: Twin): Promise<void> {
    const { db } = this.store;
    const { user, token, session, project, organisation, limit, price, alias, route } = of(twin);
    const tenants = new TenantRepository(db);
    await tenants.createOrganisation(organisation);
    for (const projectId of ['web', 'other']) await tenants.createProject({ ...project, projectId });
    const people = new PeopleRepository(db);
    await people.insertUser({ user, passwordHash: 'x' });
    await people.insertToken(token, `token-${twin}`);
    await people.insertSession(session);
    await this.keys.create(this.key[twin].key, { action: 'key.create', origin: ORIGIN });
    for (const budgetId of ['same', 'second']) {
      await new BudgetRepository(db).create({
        ...{ organisationId: twin, budgetId, scope: 'project', scopeId: 'web', unit: 'usd', limit: 5 },
        ...{ window: 'day', hard: true, createdAtMs: 1 },
      });
    }
    const routing = new RoutingRepository(db, twin);
    for (const name of ['same', 'second']) {
      await new SharedLimitRepository(db).set(limit(name), 0);
      await new PriceRepository(db).set(price(name));
      await routing.setAlias(alias(name));
      await routing.setRoute(route(name));
    }
    const payer = { organisationId: twin, projectId: 'web', keyId: 'same' };
    await this.store.commit('me', [
      starting('same', { payer, requestId: `request-${twin}` }),
      ending('same', { costNanoUsd: 1 }, twin),
    ]);
  }

  /** Every row of one of them, by table: whatever table has a tenant. */
  async rowsOf(twin: Twin): Promise<Readonly<Record<string, readonly object[]>>> {
    const { db } = this.store;
    const tables = (await db.introspection.getTables()).filter(({ columns }) =>
      columns.some(({ name }) => name === 'organisation_id'),
    );
    const found: Record<string, readonly object[]> = {};
    for (const name of tables.map((table) => table.name).sort()) {
      const rows = await db
        .selectFrom(db.dynamic.table<keyof Tables>(name as keyof Tables).as('rows'))
        .selectAll()
        .where(db.dynamic.ref('organisation_id'), '=', twin)
        .execute();
      found[name] = rows
        .map((row) => JSON.stringify(row))
        .sort()
        .map((text) => JSON.parse(text));
    }
    return found;
  }
}

function keyOf(organisationId: Twin, texts: number): KeyRecord {
  const versions = Array.from({ length: texts }, (_, index) => versionOf(`text ${index} of ${organisationId}`));
  const [first = versionOf('none'), ...rest] = versions;
  const { key } = madeKey('same', {
    ...{ organisationId, projectId: 'web', name: `key-${organisationId}` },
    ...{
      versions: [first, ...rest] satisfies ClientKey['versions'],
      budgets: [MONTHLY, DAILY],
      createdAtMs: NOON_MS + texts,
    },
  });
  return { key, revision: 1, budgets: [] };
}
