import { keyHasher } from '../../src/admission/key-hash.ts';
import { newKey } from '../../src/admission/new-key.ts';
import { loadOrCreatePepper } from '../../src/admission/pepper.ts';
import type { SharedScope } from '../../src/core/budget.ts';
import { DEFAULT_ORGANISATION } from '../../src/core/caller.ts';
import type { BudgetLimit } from '../../src/core/client-key.ts';
import type { Limits } from '../../src/core/limits.ts';
import { pepperFile } from '../../src/stores/pepper-file.ts';
import { insertBudget } from '../../src/stores/sql/repositories/budgets.ts';
import { insertKey } from '../../src/stores/sql/repositories/client-keys.ts';
import { storedKeyOf } from '../../src/stores/sql/repositories/key-records.ts';
import { TenantRepository } from '../../src/stores/sql/repositories/tenants.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { madeKey } from '../../test/support/client-keys.ts';

export interface AccountsOptions {
  readonly keys: number;
  /** The keys are spread over them evenly, ≥ 1. */
  readonly projects: number;
  /** One for each key, each project, and the organisation. */
  readonly budgets: 'none' | 'soft' | 'hard';
}

/** High enough that nobody is refused: what is measured is a request that is let in. */
const LIMITS: Limits = { rpm: 1e9, tpm: 1e12, concurrent: 1e6 };
const BUDGET: Omit<BudgetLimit, 'hard'> = { unit: 'usd', limit: 1e15, window: 'month' };

export const keyIdOf = (index: number): string => `key-${index}`;
const projectIdOf = (index: number): string => `project-${index}`;

/**
 * Puts keys with limits, and budgets for them and for what they belong to, into the store of a data folder, in one
 * transaction. The texts of the keys.
 */
export async function fillAccounts(dataDir: string, options: AccountsOptions): Promise<readonly string[]> {
  const { keys, projects, budgets } = options;
  const hash = keyHasher((await loadOrCreatePepper(pepperFile(dataDir))).value);
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const organisationId = DEFAULT_ORGANISATION;
  const texts: string[] = [];
  await store.db.transaction().execute(async (transaction) => {
    const addBudget = async (scope: SharedScope | 'key', scopeId: string): Promise<void> => {
      if (budgets === 'none') return;
      await insertBudget(transaction, {
        ...{ organisationId, budgetId: `of ${scope} ${scopeId}`, scope, scopeId },
        ...{ ...BUDGET, hard: budgets === 'hard', createdAtMs: 0 },
      });
    };
    await addBudget('organisation', organisationId);
    const tenants = new TenantRepository(transaction);
    for (let index = 0; index < projects; index++) {
      const projectId = projectIdOf(index);
      await tenants.createProject({ organisationId, projectId, name: projectId, createdAtMs: 0 });
      await addBudget('project', projectId);
    }
    for (let index = 0; index < keys; index++) {
      const { text, version } = newKey(hash, 0);
      const projectId = projectIdOf(index % projects);
      await insertKey(
        transaction,
        storedKeyOf(madeKey(keyIdOf(index), { projectId, limits: LIMITS, versions: [version] }).key),
      );
      await addBudget('key', keyIdOf(index));
      texts.push(text.reveal());
    }
  });
  await store.close();
  return texts;
}
