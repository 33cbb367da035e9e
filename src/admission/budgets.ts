import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditOrigin } from '../core/audit.ts';
import type { BudgetStore, SharedBudget, SharedBudgetRecord } from '../core/budget-store.ts';
import type { BudgetLimit } from '../core/client-key.ts';
import type { Clock } from '../core/clock.ts';
import { checkRevision } from '../core/key-store.ts';

export interface BudgetsParts {
  readonly store: BudgetStore;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly newId: () => string;
  /** Before what was spent is read: what ended a moment ago may not be in the store yet. Default: it is. */
  readonly beforeReading?: () => Promise<void>;
  /** After a change is stored: puts it in force. */
  readonly onStored: () => Promise<void>;
}

/** Sets, changes and ends budgets that several keys share. */
export class Budgets {
  readonly #parts: BudgetsParts;

  constructor(parts: BudgetsParts) {
    this.#parts = parts;
  }

  /** Oldest first. */
  async all(): Promise<readonly SharedBudgetRecord[]> {
    await this.#parts.beforeReading?.();
    return this.#parts.store.all(this.#parts.clock.wallMs());
  }

  async find(id: string): Promise<SharedBudgetRecord | null> {
    await this.#parts.beforeReading?.();
    return this.stored(id);
  }

  /** As the store has it: what it spent a moment ago may be missing, and nothing is waited for. */
  stored(id: string): Promise<SharedBudgetRecord | null> {
    return this.#parts.store.find(id, this.#parts.clock.wallMs());
  }

  /** Rejects with BudgetExists or NoSuchProject. */
  async create(
    given: Pick<SharedBudget, 'organisationId' | 'scope' | 'scopeId' | keyof BudgetLimit>,
    origin: AuditOrigin,
  ): Promise<SharedBudgetRecord> {
    const { store, clock, newId, onStored } = this.#parts;
    const budget = { ...given, id: newId(), createdAtMs: clock.wallMs() };
    await store.create(budget, { action: 'budget.create', origin });
    await onStored();
    return (await this.stored(budget.id)) ?? { ...budget, spent: 0, reserved: 0, resetsAtMs: null, revision: 1 };
  }

  /** Null: there is none. Rejects with RevisionConflict when `revision` is given and is not the one that is stored. */
  async update(
    id: string,
    to: Partial<Pick<BudgetLimit, 'limit' | 'hard'>>,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<SharedBudgetRecord | null> {
    const { store, clock, onStored } = this.#parts;
    return againOnConflict(revision, async () => {
      const before = await this.#at(id, revision);
      if (before === null) return null;
      const { limit, hard } = { ...before, ...to };
      await store.change(before, { limit, hard }, clock.wallMs(), { action: 'budget.update', origin });
      await onStored();
      return this.stored(id);
    });
  }

  /** What it was. Null and rejections: as `update`. */
  async remove(id: string, revision: number | null, origin: AuditOrigin): Promise<SharedBudgetRecord | null> {
    const { store, clock, onStored } = this.#parts;
    return againOnConflict(revision, async () => {
      const before = await this.#at(id, revision);
      if (before === null) return null;
      await store.remove(before, clock.wallMs(), { action: 'budget.remove', origin });
      await onStored();
      return before;
    });
  }

  async #at(id: string, revision: number | null): Promise<SharedBudgetRecord | null> {
    const before = await this.stored(id);
    if (before !== null) checkRevision('The budget', revision, before.revision);
    return before;
  }
}
