import type { AuditOrigin } from '../core/audit.ts';
import { DEFAULT_ORGANISATION, DEFAULT_PROJECT } from '../core/caller.ts';
import { ANYTHING, type ClientKey, rotateKey } from '../core/client-key.ts';
import type { Clock } from '../core/clock.ts';
import { type ClientKeyStore, type KeyRecord, RevisionConflict } from '../core/key-store.ts';
import { NO_LIMITS } from '../core/limits.ts';
import type { Secret } from '../core/secret.ts';
import type { KeyBook } from './key-book.ts';
import type { HashKey } from './key-hash.ts';
import { newKey } from './new-key.ts';

/** What can be said of a key, at first and later. */
export type KeyFields = Pick<
  ClientKey,
  'name' | 'projectId' | 'owner' | 'expiresAtMs' | 'policies' | 'limits' | 'budgets' | 'metadata'
>;

export interface ClientKeysParts {
  readonly store: ClientKeyStore;
  readonly book: KeyBook;
  readonly hash: HashKey;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly newId: () => string;
  /** After a change is stored and before it is in force. */
  readonly onStored: () => Promise<void>;
}

/** Its text is shown to whoever asked for it, once. */
export interface ShownOnce {
  readonly record: KeyRecord;
  readonly text: Secret;
}

/** Makes, changes and ends client keys: in the store first, then at once in the book that requests are checked against. */
export class ClientKeys {
  readonly #parts: ClientKeysParts;

  constructor(parts: ClientKeysParts) {
    this.#parts = parts;
  }

  /** Oldest first. */
  all(): Promise<readonly KeyRecord[]> {
    return this.#parts.store.all(this.#parts.clock.wallMs());
  }

  async find(id: string): Promise<KeyRecord | null> {
    return (await this.all()).find(({ key }) => key.id === id) ?? null;
  }

  async create(fields: Partial<KeyFields> & Pick<KeyFields, 'name'>, origin: AuditOrigin): Promise<ShownOnce> {
    const { store, hash, clock, newId } = this.#parts;
    const nowMs = clock.wallMs();
    const { text, version } = newKey(hash, nowMs);
    const key: ClientKey = {
      ...{ id: newId(), organisationId: DEFAULT_ORGANISATION, projectId: DEFAULT_PROJECT, owner: null },
      ...{ policies: ANYTHING, limits: NO_LIMITS, budgets: [], metadata: {}, expiresAtMs: null },
      ...fields,
      ...{ versions: [version], createdAtMs: nowMs, revokedAtMs: null },
    };
    await store.create(key, { action: 'key.create', origin });
    return { record: await this.#inForce(key), text };
  }

  /** Null: there is none. Rejects with RevisionConflict when `revision` is given and is not the one that is stored. */
  update(id: string, fields: Partial<KeyFields>, revision: number | null, origin: AuditOrigin) {
    return this.#change(id, revision, 'key.update', origin, (key) => ({ ...key, ...fields }));
  }

  /** A new text; the one before it opens the door for `graceMs` longer. Null: there is no such key. */
  async rotate(id: string, graceMs: number, revision: number | null, origin: AuditOrigin): Promise<ShownOnce | null> {
    const { hash, clock } = this.#parts;
    const nowMs = clock.wallMs();
    const { text, version } = newKey(hash, nowMs);
    const record = await this.#change(id, revision, 'key.rotate', origin, (key) =>
      rotateKey(key, version, nowMs + graceMs),
    );
    return record === null ? null : { record, text };
  }

  /** For good, in force when it resolves; its record stays. Null: there is no such key. */
  revoke(id: string, revision: number | null, origin: AuditOrigin): Promise<KeyRecord | null> {
    const nowMs = this.#parts.clock.wallMs();
    return this.#change(id, revision, 'key.revoke', origin, (key) => ({
      ...key,
      revokedAtMs: key.revokedAtMs ?? nowMs,
    }));
  }

  async #change(
    id: string,
    revision: number | null,
    action: `key.${string}`,
    origin: AuditOrigin,
    change: (key: ClientKey) => ClientKey,
  ): Promise<KeyRecord | null> {
    const before = await this.find(id);
    if (before === null) return null;
    if (revision !== null && revision !== before.revision) {
      throw new RevisionConflict(`The key is at revision ${before.revision}, not at ${revision} any more.`);
    }
    const key = change(before.key);
    await this.#parts.store.change(before, key, this.#parts.clock.wallMs(), { action, origin });
    return this.#inForce(key);
  }

  async #inForce(key: ClientKey): Promise<KeyRecord> {
    await this.#parts.onStored();
    this.#parts.book.apply({ kind: 'put', key });
    return (await this.find(key.id)) ?? { key, revision: 1, budgets: [] };
  }
}
