import type { Kysely } from 'kysely';
import type { BudgetScope, BudgetUnit, BudgetWindow } from '../../../core/budget.ts';
import { RevisionConflict } from '../../../core/key-store.ts';
import { windowEndMs, windowStartMs } from '../ledger/windows.ts';
import type { Tables } from '../tables.ts';

export interface StoredBudget {
  readonly organisationId: string;
  readonly budgetId: string;
  readonly scope: BudgetScope;
  /** Id of the organisation, project or key, or name of the model. */
  readonly scopeId: string;
  readonly window: BudgetWindow;
  readonly unit: BudgetUnit;
  /** Nano-USD or tokens; integer ≥ 0. */
  readonly limit: number;
  /** Calls are refused that may exceed it; else it only warns. */
  readonly hard: boolean;
  readonly createdAtMs: number;
  readonly revision: number;
}

export interface BudgetState extends StoredBudget {
  /** Of the window that now runs. */
  readonly reserved: number;
  readonly settled: number;
  readonly resetsAtMs: number | null;
}

/** Budgets and their limits. What they have spent is changed by the ledger alone. */
export class BudgetRepository {
  readonly #db: Kysely<Tables>;

  constructor(db: Kysely<Tables>) {
    this.#db = db;
  }

  async create(budget: Omit<StoredBudget, 'revision'>): Promise<void> {
    await insertBudget(this.#db, budget);
  }

  /** In force for all that is not yet admitted. Rejects with RevisionConflict. */
  async changeLimit(
    at: { readonly organisationId: string; readonly budgetId: string; readonly revision: number },
    limit: number,
    nowMs: number,
    hard?: boolean,
  ): Promise<void> {
    const result = await this.#db
      .updateTable('budget')
      .set((eb) => ({
        lowered_at_ms: eb
          .case()
          .when('limit_amount', '>', limit)
          .then(eb.cast<number>(eb.val(nowMs), 'bigint'))
          .else(eb.ref('lowered_at_ms'))
          .end(),
        limit_amount: limit,
        revision: at.revision + 1,
        ...(hard === undefined ? {} : { hard: hard ? 1 : 0 }),
      }))
      .where('organisation_id', '=', at.organisationId)
      .where('budget_id', '=', at.budgetId)
      .where('revision', '=', at.revision)
      .executeTakeFirst();
    if (Number(result.numUpdatedRows) > 0) return;
    throw new RevisionConflict(`the budget ${at.budgetId} is not at revision ${at.revision} any more`);
  }

  /** It counts no more; what it counted stays on record. */
  async retire(organisationId: string, budgetId: string, nowMs: number): Promise<void> {
    await this.#db
      .updateTable('budget')
      .set({ retired_at_ms: nowMs })
      .where('organisation_id', '=', organisationId)
      .where('budget_id', '=', budgetId)
      .execute();
  }

  /** Those in force, of one organisation or of all, with what they spent in the window of `nowMs`. */
  async states(nowMs: number, organisationId: string | null = null): Promise<readonly BudgetState[]> {
    let query = this.#db.selectFrom('budget').selectAll().where('retired_at_ms', 'is', null);
    if (organisationId !== null) query = query.where('organisation_id', '=', organisationId);
    const rows = await query.orderBy('organisation_id').orderBy('budget_id').execute();
    const windows = await this.#db
      .selectFrom('budget_window')
      .selectAll()
      .where('window_start_ms', 'in', [...new Set(rows.map((row) => windowStartMs(row.budget_window, nowMs))), -1])
      .execute();
    const spent = new Map(
      windows.map((row) => [`${row.organisation_id}\n${row.budget_id}\n${row.window_start_ms}`, row]),
    );
    return rows.map((row) => {
      const startMs = windowStartMs(row.budget_window, nowMs);
      const window = spent.get(`${row.organisation_id}\n${row.budget_id}\n${startMs}`);
      return {
        organisationId: row.organisation_id,
        budgetId: row.budget_id,
        scope: row.scope,
        scopeId: row.scope_id,
        window: row.budget_window,
        unit: row.unit,
        limit: row.limit_amount,
        hard: row.hard === 1,
        createdAtMs: row.created_at_ms,
        revision: row.revision,
        reserved: window?.reserved ?? 0,
        settled: window?.settled ?? 0,
        resetsAtMs: windowEndMs(row.budget_window, startMs),
      };
    });
  }
}

export async function insertBudget(db: Kysely<Tables>, budget: Omit<StoredBudget, 'revision'>): Promise<void> {
  await db
    .insertInto('budget')
    .values({
      organisation_id: budget.organisationId,
      budget_id: budget.budgetId,
      scope: budget.scope,
      scope_id: budget.scopeId,
      budget_window: budget.window,
      unit: budget.unit,
      limit_amount: budget.limit,
      hard: budget.hard ? 1 : 0,
      created_at_ms: budget.createdAtMs,
      lowered_at_ms: null,
      retired_at_ms: null,
      revision: 1,
    })
    .execute();
}
