import type { Kysely, Transaction } from 'kysely';
import type { AuditEvent } from '../../../core/audit.ts';
import type { ClientKey } from '../../../core/client-key.ts';
import type { ClientKeyStore, KeyDeed, KeyPage, KeyQuery, KeyRecord } from '../../../core/key-store.ts';
import type { Tables } from '../tables.ts';
import { againWhileLocked } from '../while-locked.ts';
import { BudgetRepository, type BudgetState, insertBudget } from './budgets.ts';
import { ClientKeyRepository, changeRow, insertKey, insertVersion, type StoredClientKey } from './client-keys.ts';
import { clientKeyOf, storedKeyOf, storedVersionOf } from './key-records.ts';

type Work = Transaction<Tables>;

export interface SqlKeyStoreParts {
  readonly db: Kysely<Tables>;
  /** Puts the change on record within its own transaction. */
  readonly append: (transaction: Work, event: AuditEvent) => Promise<void>;
  readonly newId: () => string;
  /** Says which pepper the hashes of new texts are made with. */
  readonly pepperCheck: string;
}

const PEPPER_CHECK = 'client_key_pepper_check';

/** Client keys and their budgets as rows. */
export class SqlKeyStore implements ClientKeyStore {
  readonly #parts: SqlKeyStoreParts;

  constructor(parts: SqlKeyStoreParts) {
    this.#parts = parts;
  }

  async all(nowMs: number): Promise<readonly KeyRecord[]> {
    const { db } = this.#parts;
    const [stored, states] = await Promise.all([
      new ClientKeyRepository(db).all(),
      new BudgetRepository(db).states(nowMs, { scopes: ['key'] }),
    ]);
    return recordsOf(stored, states);
  }

  async page(query: KeyQuery, nowMs: number): Promise<KeyPage> {
    const keys = new ClientKeyRepository(this.#parts.db);
    const ids = await keys.ids({ ...query, limit: query.limit + 1 }, nowMs);
    const shown = ids.slice(0, query.limit);
    const records = await this.#some(shown, nowMs, query.organisationId);
    return { records, nextAfterId: ids.length > query.limit ? (shown.at(-1) ?? null) : null };
  }

  some(ids: readonly string[], nowMs: number): Promise<readonly KeyRecord[]> {
    return this.#some(ids, nowMs);
  }

  async pepperCheck(): Promise<string | null> {
    const { db } = this.#parts;
    const row = await db.selectFrom('meta').select('value').where('name', '=', PEPPER_CHECK).executeTakeFirst();
    return row?.value ?? null;
  }

  create(key: ClientKey, deed: KeyDeed): Promise<void> {
    const { append, newId, pepperCheck } = this.#parts;
    return this.#transact(async (work) => {
      await ensureProject(work, key);
      await insertKey(work, storedKeyOf(key));
      await keepPepperCheck(work, pepperCheck);
      for (const budget of key.budgets) await addBudget(work, key, budget, newId(), key.createdAtMs);
      await append(work, eventOf(deed, null, key));
    });
  }

  change({ key: before, revision }: KeyRecord, key: ClientKey, nowMs: number, deed: KeyDeed): Promise<void> {
    const { append, newId, pepperCheck } = this.#parts;
    return this.#transact(async (work) => {
      const { organisationId, id: keyId } = key;
      await ensureProject(work, { ...key, createdAtMs: nowMs });
      await changeRow(work, { organisationId, keyId, revision }, storedKeyOf(key));
      const added = await changeVersions(work, before, key);
      if (added) await keepPepperCheck(work, pepperCheck);
      await changeBudgets(work, key, newId, nowMs);
      await append(work, eventOf(deed, before, key));
    });
  }

  async #some(ids: readonly string[], nowMs: number, organisationId?: string): Promise<readonly KeyRecord[]> {
    if (ids.length === 0) return [];
    const { db } = this.#parts;
    const [stored, states] = await Promise.all([
      new ClientKeyRepository(db).some(ids, organisationId),
      new BudgetRepository(db).states(nowMs, { scopes: ['key'], scopeIds: ids }),
    ]);
    return recordsOf(stored, states);
  }

  #transact(change: (work: Work) => Promise<void>): Promise<void> {
    return againWhileLocked(() => this.#parts.db.transaction().execute(change));
  }
}

/** Oldest first. */
function recordsOf(stored: readonly StoredClientKey[], states: readonly BudgetState[]): readonly KeyRecord[] {
  const ofKeys = Map.groupBy(states, ({ organisationId, scopeId }) => `${organisationId}\n${scopeId}`);
  const records = stored.map((key): KeyRecord => {
    const budgets = ofKeys.get(`${key.organisationId}\n${key.keyId}`) ?? [];
    return { key: clientKeyOf(key, budgets), revision: key.revision, budgets: budgets.map(useOf) };
  });
  return records.sort(
    ({ key: one }, { key: other }) => one.createdAtMs - other.createdAtMs || (one.id < other.id ? -1 : 1),
  );
}

function useOf({ unit, window, limit, hard, settled, reserved, resetsAtMs }: BudgetState) {
  return { unit, window, limit, hard, spent: settled, reserved, resetsAtMs };
}

type Owner = Pick<ClientKey, 'organisationId' | 'projectId' | 'createdAtMs'>;

async function ensureProject(work: Work, { organisationId, projectId, createdAtMs }: Owner): Promise<void> {
  await work
    .insertInto('project')
    .values({ organisation_id: organisationId, project_id: projectId, name: projectId, created_at_ms: createdAtMs })
    .onConflict((conflict) => conflict.columns(['organisation_id', 'project_id']).doNothing())
    .execute();
}

async function keepPepperCheck(work: Work, value: string): Promise<void> {
  await work
    .insertInto('meta')
    .values({ name: PEPPER_CHECK, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute();
}

/** Those that were there may have got an end; what was not there is new. True: there was such a one. */
async function changeVersions(
  work: Work,
  before: ClientKey,
  { organisationId, id, versions }: ClientKey,
): Promise<boolean> {
  let added = false;
  const known = new Map(before.versions.map((version) => [version.hash, version]));
  for (const version of [...versions].reverse()) {
    const old = known.get(version.hash);
    if (old === undefined) {
      const latest = await work
        .selectFrom('client_key_version')
        .select(({ fn }) => fn.max('version').as('version'))
        .where('organisation_id', '=', organisationId)
        .where('key_id', '=', id)
        .executeTakeFirst();
      const number = Number(latest?.version ?? 0) + 1;
      await insertVersion(work, { organisationId, keyId: id }, storedVersionOf(version, number));
      added = true;
    } else if (old.expiresAtMs !== version.expiresAtMs) {
      await work
        .updateTable('client_key_version')
        .set({ expires_at_ms: version.expiresAtMs })
        .where('organisation_id', '=', organisationId)
        .where('key_id', '=', id)
        .where('key_hash', '=', version.hash)
        .execute();
    }
    known.delete(version.hash);
  }
  // Opens nothing any more, and is of no use to anybody.
  for (const hash of known.keys()) {
    await work
      .deleteFrom('client_key_version')
      .where('organisation_id', '=', organisationId)
      .where('key_id', '=', id)
      .where('key_hash', '=', hash)
      .execute();
  }
  return added;
}

async function changeBudgets(work: Work, key: ClientKey, newId: () => string, nowMs: number): Promise<void> {
  const rows = await work
    .selectFrom('budget')
    .selectAll()
    .where('organisation_id', '=', key.organisationId)
    .where('scope', '=', 'key')
    .where('scope_id', '=', key.id)
    .where('retired_at_ms', 'is', null)
    .execute();
  const repository = new BudgetRepository(work);
  const wanted = new Map(key.budgets.map((budget) => [`${budget.unit}/${budget.window}`, budget]));
  for (const row of rows) {
    const name = `${row.unit}/${row.budget_window}`;
    const budget = wanted.get(name);
    const at = { organisationId: key.organisationId, budgetId: row.budget_id, revision: row.revision };
    if (budget === undefined) await repository.retire(key.organisationId, row.budget_id, nowMs);
    else if (budget.limit !== row.limit_amount || budget.hard !== (row.hard === 1)) {
      await repository.changeLimit(at, budget.limit, nowMs, budget.hard);
    }
    wanted.delete(name);
  }
  for (const budget of wanted.values()) await addBudget(work, key, budget, newId(), nowMs);
}

function addBudget(
  work: Work,
  { organisationId, id }: ClientKey,
  budget: ClientKey['budgets'][number],
  budgetId: string,
  createdAtMs: number,
): Promise<void> {
  return insertBudget(work, { organisationId, budgetId, scope: 'key', scopeId: id, ...budget, createdAtMs });
}

function eventOf({ action, origin }: KeyDeed, before: ClientKey | null, after: ClientKey): AuditEvent {
  const { organisationId, id } = after;
  return {
    ...{ origin, action, subject: `key:${id}`, organisationId },
    ...{ before: before === null ? null : factsOf(before), after: factsOf(after) },
  };
}

/** As the audit log shows it: nothing of its hashes. */
function factsOf({ name, projectId, owner, versions, expiresAtMs, revokedAtMs, ...rest }: ClientKey) {
  const { policies, limits, budgets, metadata } = rest;
  const shown = versions.map(({ prefix, lastFour, expiresAtMs: untilMs }) => ({
    prefix,
    last_four: lastFour,
    untilMs,
  }));
  return { name, projectId, owner, versions: shown, expiresAtMs, revokedAtMs, policies, limits, budgets, metadata };
}
