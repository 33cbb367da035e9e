import type { SharedScope } from './budget.ts';
import type { BudgetLimit } from './client-key.ts';
import type { BudgetUse, KeyDeed } from './key-store.ts';

/** A budget of all keys of an organisation or project, or of all calls of a model. */
export interface SharedBudget extends BudgetLimit {
  /** Unique, never used again. */
  readonly id: string;
  readonly organisationId: string;
  readonly scope: SharedScope;
  /** Id of the organisation or project, or name of the model as its servers call it. */
  readonly scopeId: string;
  /** ms since the Unix epoch. */
  readonly createdAtMs: number;
}

/** As it is stored now. */
export interface SharedBudgetRecord extends SharedBudget, BudgetUse {
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
}

/** There is one for the same thing, unit and window already; nothing was written. */
export class BudgetExists extends Error {
  override readonly name = 'BudgetExists';
  readonly existing: SharedBudgetRecord;

  constructor(existing: SharedBudgetRecord) {
    super(`There is such a budget already: ${existing.id}.`);
    this.existing = existing;
  }
}

/** There is no such project; nothing was written. */
export class NoSuchProject extends Error {
  override readonly name = 'NoSuchProject';
  readonly projectId: string;
  /** Those that there are. */
  readonly projects: readonly string[];

  constructor(projectId: string, projects: readonly string[]) {
    super(`There is no project "${projectId}".`);
    this.projectId = projectId;
    this.projects = projects;
  }
}

/** Where shared budgets are kept. Each change is made whole, with its entry in the audit log, or not at all. */
export interface BudgetStore {
  /** Oldest first. */
  all(nowMs: number): Promise<readonly SharedBudgetRecord[]>;
  /** Null: there is none, or it was removed. */
  find(id: string, nowMs: number): Promise<SharedBudgetRecord | null>;
  /** Rejects with BudgetExists, or with NoSuchProject: a limit for a name that was mistyped would limit nobody. */
  create(budget: SharedBudget, deed: KeyDeed): Promise<void>;
  /** What was spent stays. Rejects with RevisionConflict. */
  change(
    before: SharedBudgetRecord,
    to: Pick<BudgetLimit, 'limit' | 'hard'>,
    nowMs: number,
    deed: KeyDeed,
  ): Promise<void>;
  /** It counts no more; what it counted stays on record. Rejects with RevisionConflict. */
  remove(before: SharedBudgetRecord, nowMs: number, deed: KeyDeed): Promise<void>;
}
