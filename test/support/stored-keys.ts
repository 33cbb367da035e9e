import { keyHasher } from '../../src/admission/key-hash.ts';
import { newKey } from '../../src/admission/new-key.ts';
import { loadOrCreatePepper } from '../../src/admission/pepper.ts';
import type { ClientKey } from '../../src/core/client-key.ts';
import { pepperFile } from '../../src/stores/pepper-file.ts';
import { BudgetRepository } from '../../src/stores/sql/repositories/budgets.ts';
import { changeRow, insertKey } from '../../src/stores/sql/repositories/client-keys.ts';
import { storedKeyOf } from '../../src/stores/sql/repositories/key-records.ts';
import { openSqliteStore } from '../../src/stores/sqlite/sqlite-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { madeKey } from './client-keys.ts';

/** Puts client keys into the store of a data folder, as a gateway before this one did; their texts by id. */
export async function storeKeys(
  dataDir: string,
  changes: Readonly<Record<string, Partial<ClientKey>>>,
): Promise<Readonly<Record<string, string>>> {
  const hash = keyHasher((await loadOrCreatePepper(pepperFile(dataDir))).value);
  const store = await openSqliteStore({ dataDir, clock: systemClock });
  const texts: Record<string, string> = {};
  for (const [id, change] of Object.entries(changes)) {
    const { text, version } = newKey(hash, 0);
    const { key } = madeKey(id, { ...change, versions: [version] });
    texts[id] = text.reveal();
    await insertKey(store.db, storedKeyOf(key));
    const { organisationId, revokedAtMs } = key;
    if (revokedAtMs !== null) await changeRow(store.db, { organisationId, keyId: id, revision: 1 }, { revokedAtMs });
    for (const [index, { unit, limit, window, hard }] of key.budgets.entries()) {
      await new BudgetRepository(store.db).create({
        ...{ organisationId: key.organisationId, budgetId: `${id}-${index}`, scope: 'key', scopeId: id },
        ...{ unit, limit, window, hard, createdAtMs: 0 },
      });
    }
  }
  await store.close();
  return texts;
}
