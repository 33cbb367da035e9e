import type { ClientKey } from './client-key.ts';

/** A client key as it is stored now. */
export interface KeyRecord {
  readonly key: ClientKey;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
}

/** Somebody else changed it since it was read; nothing was written. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
}

/** Where client keys are kept, with their budgets. Each change is made whole or not at all. */
export interface ClientKeyStore {
  /** Oldest first. */
  all(): Promise<readonly KeyRecord[]>;
  find(organisationId: string, id: string): Promise<KeyRecord | null>;
  /** Its project is made where there is none. */
  create(key: ClientKey): Promise<void>;
  /**
   * Puts `key` in place of what `revision` says was read. Its budgets keep what they have spent: of one unit and window
   * there is one at a time. Rejects with RevisionConflict.
   */
  change(key: ClientKey, revision: number, nowMs: number): Promise<void>;
}
