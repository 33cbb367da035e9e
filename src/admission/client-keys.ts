import { againOnConflict } from '../core/again-on-conflict.ts';
import type { AuditOrigin } from '../core/audit.ts';
import { DEFAULT_PROJECT } from '../core/caller.ts';
import { ANYTHING, type ClientKey, endedByRotation, type KeyVersion, rotateKey } from '../core/client-key.ts';
import type { Clock } from '../core/clock.ts';
import { type ClientKeyStore, checkRevision, type KeyPage, type KeyQuery, type KeyRecord } from '../core/key-store.ts';
import { NO_LIMITS } from '../core/limits.ts';
import type { Secret } from '../core/secret.ts';
import type { HashKey } from './key-hash.ts';
import type { KeysInForce } from './keys-in-force.ts';
import { newKey } from './new-key.ts';

/** What can be said of a key, at first and later. */
export type KeyFields = Pick<
  ClientKey,
  'name' | 'projectId' | 'owner' | 'expiresAtMs' | 'policies' | 'limits' | 'budgets' | 'metadata'
>;

export interface ClientKeysParts {
  readonly store: ClientKeyStore;
  readonly inForce: KeysInForce;
  readonly hash: HashKey;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly newId: () => string;
  /** Before what was spent is read: what ended a moment ago may not be in the store yet. Default: it is. */
  readonly beforeReading?: () => Promise<void>;
  /** After a change is stored and in force: from the first key on, what is used is on record. */
  readonly onStored: () => Promise<void>;
}

/** Its text is shown to whoever asked for it, once. */
export interface ShownOnce {
  readonly record: KeyRecord;
  readonly text: Secret;
}

export interface Rotated extends ShownOnce {
  /** Texts that opened the door until now. */
  readonly ended: readonly KeyVersion[];
}

/** Makes, changes and ends client keys: in the store first, then at once in the book that requests are checked against. */
export class ClientKeys {
  readonly #parts: ClientKeysParts;

  constructor(parts: ClientKeysParts) {
    this.#parts = parts;
  }

  async page(query: KeyQuery): Promise<KeyPage> {
    await this.#parts.beforeReading?.();
    return this.#parts.store.page(query, this.#parts.clock.wallMs());
  }

  async find(id: string): Promise<KeyRecord | null> {
    await this.#parts.beforeReading?.();
    return this.stored(id);
  }

  /** As the store has it: what it spent a moment ago may be missing, and nothing is waited for. */
  async stored(id: string): Promise<KeyRecord | null> {
    const [record] = await this.#parts.store.some([id], this.#parts.clock.wallMs());
    return record ?? null;
  }

  async create(
    fields: Partial<KeyFields> & Pick<ClientKey, 'name' | 'organisationId'>,
    origin: AuditOrigin,
  ): Promise<ShownOnce> {
    const { store, hash, clock, newId } = this.#parts;
    const nowMs = clock.wallMs();
    const { text, version } = newKey(hash, nowMs);
    const key: ClientKey = {
      ...{ id: newId(), projectId: DEFAULT_PROJECT, owner: null },
      ...{ policies: ANYTHING, limits: NO_LIMITS, budgets: [], metadata: {}, expiresAtMs: null },
      ...fields,
      ...{ versions: [version], createdAtMs: nowMs, revokedAtMs: null },
    };
    await store.create(key, { action: 'key.create', origin });
    return { record: await this.#putInForce(key, 1), text };
  }

  /**
   * Null: there is none. Rejects with RevisionConflict when `revision` is given and is not the one that is stored.
   * @param change what becomes of the key as it is stored then; asked again when somebody else was quicker. What it
   * throws is what it rejects with, and nothing is changed.
   */
  update(
    id: string,
    change: (key: ClientKey) => Partial<KeyFields>,
    revision: number | null,
    origin: AuditOrigin,
  ): Promise<KeyRecord | null> {
    return this.#change(id, revision, 'key.update', origin, (key) => ({ ...key, ...change(key) }));
  }

  /** A new text; the one before it opens the door for `graceMs` longer, an older one no more. Null: there is no such key. */
  async rotate(id: string, graceMs: number, revision: number | null, origin: AuditOrigin): Promise<Rotated | null> {
    const { hash, clock } = this.#parts;
    const nowMs = clock.wallMs();
    const { text, version } = newKey(hash, nowMs);
    let ended: readonly KeyVersion[] = [];
    const record = await this.#change(id, revision, 'key.rotate', origin, (key) => {
      ended = endedByRotation(key, nowMs);
      return rotateKey(key, version, nowMs + graceMs);
    });
    return record === null ? null : { record, text, ended };
  }

  /** For good, in force when it resolves; its record stays. Null: there is no such key. */
  revoke(id: string, revision: number | null, origin: AuditOrigin): Promise<KeyRecord | null> {
    const nowMs = this.#parts.clock.wallMs();
    return this.#change(id, revision, 'key.revoke', origin, (key) =>
      key.revokedAtMs === null ? { ...key, revokedAtMs: nowMs } : key,
    );
  }

  #change(
    id: string,
    revision: number | null,
    action: `key.${string}`,
    origin: AuditOrigin,
    change: (key: ClientKey) => ClientKey,
  ): Promise<KeyRecord | null> {
    return againOnConflict(revision, async () => {
      const before = await this.stored(id);
      if (before === null) return null;
      // First: to whom the key is not there it is not there at any revision.
      const key = change(before.key);
      checkRevision('The key', revision, before.revision);
      // Revoked already: nothing changes, and nothing comes on record once more.
      if (key === before.key) return this.#putInForce(key, before.revision);
      await this.#parts.store.change(before, key, this.#parts.clock.wallMs(), { action, origin });
      return this.#putInForce(key, before.revision + 1);
    });
  }

  /** At once: what follows may fail, and a key that was revoked must open nothing by then. */
  async #putInForce(key: ClientKey, revision: number): Promise<KeyRecord> {
    this.#parts.inForce.put({ key, revision });
    await this.#parts.onStored();
    return (await this.stored(key.id)) ?? { key, revision, budgets: [] };
  }
}
