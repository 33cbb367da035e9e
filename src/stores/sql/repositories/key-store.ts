import type { Kysely, Transaction } from 'kysely';
import type { AuditEvent } from '../../../core/audit.ts';
import type { ClientKey } from '../../../core/client-key.ts';
import type { ClientKeyStore, KeyDeed, KeyRecord } from '../../../core/key-store.ts';
import type { Tables } from '../tables.ts';
import { BudgetRepository, type BudgetState, insertBudget } from './budgets.ts';
import { ClientKeyRepository, changeRow, insertKey, insertVersion } from './client-keys.ts';
import { clientKeyOf, storedKeyOf, storedVersionOf } from './key-records.ts';

type Work = Transaction<Tables>;

export interface SqlKeyStoreParts {
  readonly db: Kysely<Tables>;
  /** Puts the change on record within its own transaction. */
  readonly append: (transaction: Work, event: AuditEvent) => Promise<void>;
  readonly newId: () => string;
}

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
      new BudgetRepository(db).states(nowMs),
    ]);
    const ofKeys = Map.groupBy(
      states.filter(({ scope }) => scope === 'key'),
      ({ organisationId, scopeId }) => `${organisationId}\n${scopeId}`,
    );
    const records = stored.map((key): KeyRecord => {
      const budgets = ofKeys.get(`${key.organisationId}\n${key.keyId}`) ?? [];
      return { key: clientKeyOf(key, budgets), revision: key.revision, budgets: budgets.map(useOf) };
    });
    return records.sort((one, other) => one.key.createdAtMs - other.key.createdAtMs);
  }

  create(key: ClientKey, deed: KeyDeed): Promise<void> {
    const { db, append, newId } = this.#parts;
    return db.transaction().execute(async (work) => {
      await ensureProject(work, key);
      await insertKey(work, storedKeyOf(key));
      for (const budget of key.budgets) await addBudget(work, key, budget, newId(), key.createdAtMs);
      await append(work, eventOf(deed, null, key));
    });
  }

  change({ key: before, revision }: KeyRecord, key: ClientKey, nowMs: number, deed: KeyDeed): Promise<void> {
    const { db, append, newId } = this.#parts;
    return db.transaction().execute(async (work) => {
      const { organisationId, id: keyId } = key;
      await changeRow(work, { organisationId, keyId, revision }, storedKeyOf(key));
      await changeVersions(work, before, key);
      await changeBudgets(work, key, newId, nowMs);
      await append(work, eventOf(deed, before, key));
    });
  }
}

function useOf({ unit, window, limit, hard, settled, reserved, resetsAtMs }: BudgetState) {
  return { unit, window, limit, hard, spent: settled, reserved, resetsAtMs };
}

async function ensureProject(work: Work, { organisationId, projectId, createdAtMs }: ClientKey): Promise<void> {
  await work
    .insertInto('project')
    .values({ organisation_id: organisationId, project_id: projectId, name: projectId, created_at_ms: createdAtMs })
    .onConflict((conflict) => conflict.columns(['organisation_id', 'project_id']).doNothing())
    .execute();
}

/** Those that were there may have got an end; what was not there is new. */
async function changeVersions(work: Work, before: ClientKey, { organisationId, id, versions }: ClientKey) {
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
    } else if (old.expiresAtMs !== version.expiresAtMs) {
      await work
        .updateTable('client_key_version')
        .set({ expires_at_ms: version.expiresAtMs })
        .where('key_hash', '=', version.hash)
        .execute();
    }
    known.delete(version.hash);
  }
  // Opens nothing any more, and is of no use to anybody.
  for (const hash of known.keys()) await work.deleteFrom('client_key_version').where('key_hash', '=', hash).execute();
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
