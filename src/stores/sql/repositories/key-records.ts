import type { BudgetLimit, ClientKey, KeyPolicies, KeyVersion } from '../../../core/client-key.ts';
import type { Limits } from '../../../core/limits.ts';
import type { StoredBudget } from './budgets.ts';
import type { StoredClientKey, StoredKeyVersion } from './client-keys.ts';

/** What a key's row keeps as JSON. */
interface KeyRights {
  readonly policies: KeyPolicies;
  readonly limits: Limits;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Between the first and the last letters of a key, as people see it. */
const GAP = '…';

/**
 * A client key from its rows. `budgets`: those of the key.
 * @throws Error when the row does not say what it may use: nobody is let in on a guess.
 */
export function clientKeyOf(stored: StoredClientKey, budgets: readonly StoredBudget[]): ClientKey {
  const { organisationId, projectId, name, owner, createdAtMs, expiresAtMs, revokedAtMs } = stored;
  const [newest, ...older] = [...stored.versions].reverse().map(versionOf);
  const rights = stored.policies as Partial<KeyRights> | null;
  const { policies, limits, metadata = {} } = rights ?? {};
  if (newest === undefined || policies === undefined || limits === undefined) {
    throw new Error(`The client key ${stored.keyId} in the store has no version, or does not say what it may use.`);
  }
  return {
    ...{ id: stored.keyId, organisationId, projectId, name, owner, createdAtMs, expiresAtMs, revokedAtMs },
    versions: [newest, ...older],
    ...{ policies, limits, metadata },
    budgets: budgets.map(({ unit, limit, window, hard }): BudgetLimit => ({ unit, limit, window, hard })),
  };
}

/** What is kept of it in its rows; its budgets have rows of their own. */
export function storedKeyOf(key: ClientKey): Omit<StoredClientKey, 'revision'> {
  const { organisationId, projectId, name, owner, createdAtMs, expiresAtMs, revokedAtMs } = key;
  const { policies, limits, metadata } = key;
  const rights: KeyRights = { policies, limits, metadata };
  return {
    ...{ keyId: key.id, organisationId, projectId, name, owner, createdAtMs, expiresAtMs, revokedAtMs },
    policies: rights,
    versions: [...key.versions].reverse().map((version, index) => storedVersionOf(version, index + 1)),
  };
}

export function storedVersionOf(version: KeyVersion, number: number): StoredKeyVersion {
  const { hash, prefix, lastFour, createdAtMs, expiresAtMs } = version;
  return { version: number, prefix: `${prefix}${GAP}${lastFour}`, keyHash: hash, createdAtMs, expiresAtMs };
}

function versionOf({ prefix, keyHash, createdAtMs, expiresAtMs }: StoredKeyVersion): KeyVersion {
  const [first = '', lastFour = ''] = prefix.split(GAP);
  return { hash: keyHash, prefix: first, lastFour, createdAtMs, expiresAtMs };
}
