import type { KeyVersion } from '../core/client-key.ts';
import { Secret } from '../core/secret.ts';
import { generateKey, shownParts } from './key-format.ts';
import type { HashKey } from './key-hash.ts';

export interface NewKey {
  /** Shown to whoever asked for it, once; kept nowhere. */
  readonly text: Secret;
  /** What is stored. */
  readonly version: KeyVersion;
}

/**
 * The text of a new client key, or of one that is rotated, and what is kept of it.
 * @param wallMs Now, milliseconds since the Unix epoch.
 */
export function newKey(hash: HashKey, wallMs: number): NewKey {
  const text = generateKey();
  const version = { hash: hash(text), ...shownParts(text), createdAtMs: wallMs, expiresAtMs: null };
  return { text: new Secret(text), version };
}
