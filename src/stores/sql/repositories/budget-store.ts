import type { Kysely, Transaction } from 'kysely';
import type { AuditEvent } from '../../../core/audit.ts';
import { SHARED_SCOPES, type SharedScope } from '../../../core/budget.ts';
import {
  BudgetExists,
  type BudgetStore,
  NoSuchProject,
  type SharedBudget,
  type SharedBudgetRecord,
} from '../../../core/budget-store.ts';
import type { BudgetLimit } from '../../../core/client-key.ts';
import type { KeyDeed } from '../../../core/key-store.ts';
import type { Tables } from '../tables.ts';
import { againWhileLocked } from '../while-locked.ts';
import { BudgetRepository, type BudgetState, insertBudget } from './budgets.ts';
import { TenantRepository } from './tenants.ts';

type Work = Transaction<Tables>;
/** Puts the change on record within its own transaction. */
type Append = (transaction: Work, event: AuditEvent) => Promise<void>;

/** Budgets of organisations, projects and models as rows. */
export class SqlBudgetStore implements BudgetStore {
  readonly #db: Kysely<Tables>;
  readonly #append: Append;

  constructor(db: Kysely<Tables>, append: Append) {
    this.#db = db;
    this.#append = append;
  }

  all(nowMs: number): Promise<readonly SharedBudgetRecord[]> {
    return recordsOf(this.#db, nowMs);
  }

  async find(id: string, nowMs: number): Promise<SharedBudgetRecord | null> {
    return (await this.all(nowMs)).find((budget) => budget.id === id) ?? null;
  }

  create(budget: SharedBudget, deed: KeyDeed): Promise<void> {
    const { id: budgetId, ...rest } = budget;
    return this.#transact(async (work) => {
      // First, since whoever holds the end of the log is alone from here on: two that ask for the same budget at once
      // see each other.
      await this.#append(work, eventOf(deed, null, budget));
      await checkProject(work, budget);
      const existing = (await recordsOf(work, budget.createdAtMs)).find((other) => isSame(other, budget));
      if (existing !== undefined) throw new BudgetExists(existing);
      await insertBudget(work, { ...rest, budgetId });
    });
  }

  change(
    before: SharedBudgetRecord,
    { limit, hard }: Pick<BudgetLimit, 'limit' | 'hard'>,
    nowMs: number,
    deed: KeyDeed,
  ): Promise<void> {
    return this.#transact(async (work) => {
      await new BudgetRepository(work).changeLimit(at(before), limit, nowMs, hard);
      await this.#append(work, eventOf(deed, before, { ...before, limit, hard }));
    });
  }

  remove(before: SharedBudgetRecord, nowMs: number, deed: KeyDeed): Promise<void> {
    return this.#transact(async (work) => {
      await new BudgetRepository(work).retireAt(at(before), nowMs);
      await this.#append(work, eventOf(deed, before, null));
    });
  }

  #transact(change: (work: Work) => Promise<void>): Promise<void> {
    return againWhileLocked(() => this.#db.transaction().execute(change));
  }
}

async function recordsOf(db: Kysely<Tables>, nowMs: number): Promise<readonly SharedBudgetRecord[]> {
  const states = await new BudgetRepository(db).states(nowMs, { scopes: SHARED_SCOPES });
  return states.map(recordOf).sort((one, other) => one.createdAtMs - other.createdAtMs || (one.id < other.id ? -1 : 1));
}

function recordOf({ budgetId, scope, settled, ...rest }: BudgetState): SharedBudgetRecord {
  return { ...rest, id: budgetId, scope: scope as SharedScope, spent: settled };
}

async function checkProject(work: Work, { organisationId, scope, scopeId }: SharedBudget): Promise<void> {
  if (scope !== 'project') return;
  const projects = (await new TenantRepository(work).projects(organisationId)).map(({ projectId }) => projectId);
  if (!projects.includes(scopeId)) throw new NoSuchProject(scopeId, projects);
}

function isSame(one: SharedBudget, other: SharedBudget): boolean {
  return (['organisationId', 'scope', 'scopeId', 'unit', 'window'] as const).every((name) => one[name] === other[name]);
}

function at({ organisationId, id: budgetId, revision }: SharedBudgetRecord) {
  return { organisationId, budgetId, revision };
}

function eventOf({ action, origin }: KeyDeed, before: SharedBudget | null, after: SharedBudget | null): AuditEvent {
  const { id, organisationId } = (after ?? before) as SharedBudget;
  return {
    ...{ origin, action, subject: `budget:${id}`, organisationId },
    ...{ before: factsOf(before), after: factsOf(after) },
  };
}

function factsOf(budget: SharedBudget | null) {
  if (budget === null) return null;
  const { scope, scopeId, unit, limit, window, hard } = budget;
  return { scope, scopeId, unit, limit, window, hard };
}
