import { generateKey, shownParts } from '../../src/admission/key-format.ts';
import { type HashKey, keyHasher } from '../../src/admission/key-hash.ts';
import { type Caller, DEFAULT_ORGANISATION, DEFAULT_PROJECT } from '../../src/core/caller.ts';
import { ANYTHING, type ClientKey, type KeyVersion } from '../../src/core/client-key.ts';
import { type Limits, NO_LIMITS } from '../../src/core/limits.ts';
import { Secret } from '../../src/core/secret.ts';

export const hashKey: HashKey = keyHasher(new Secret('5e'.repeat(32)));

export function versionOf(text: string, change: Partial<KeyVersion> = {}): KeyVersion {
  return { hash: hashKey(text), ...shownParts(text), createdAtMs: 0, expiresAtMs: null, ...change };
}

/** A client key and the text that opens the door as it. */
export function madeKey(
  id: string,
  change: Partial<ClientKey> = {},
): { readonly text: string; readonly key: ClientKey } {
  const text = generateKey();
  const key: ClientKey = {
    id,
    organisationId: DEFAULT_ORGANISATION,
    projectId: DEFAULT_PROJECT,
    name: `name of ${id}`,
    owner: null,
    versions: [versionOf(text)],
    createdAtMs: 0,
    expiresAtMs: null,
    revokedAtMs: null,
    policies: ANYTHING,
    limits: NO_LIMITS,
    budgets: [],
    metadata: {},
    ...change,
  };
  return { text, key };
}

/** Somebody with a client key. */
export function callerWith(limits: Partial<Limits>, change: Partial<Caller> = {}): Caller {
  const { name, organisationId, projectId, owner, policies, budgets, metadata } = madeKey('alice').key;
  const rest = { name, organisationId, projectId, owner, policies, budgets, metadata };
  return { kind: 'key', keyId: 'alice', ...rest, limits: { ...NO_LIMITS, ...limits }, ...change };
}
