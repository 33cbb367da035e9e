import { timingSafeEqual } from 'node:crypto';
import type { Caller } from '../core/caller.ts';
import type { ClientKey, ClientKeyChange, KeyVersion } from '../core/client-key.ts';
import type { HashKey } from './key-hash.ts';

interface Entry {
  /** The hash's characters. */
  readonly hash: Uint8Array;
  readonly key: ClientKey;
  readonly version: KeyVersion;
  readonly caller: Caller;
}

/** What a key's text opens. */
export type FoundKey = { readonly key: ClientKey; readonly version: KeyVersion } & (
  | { readonly state: 'live'; readonly caller: Caller }
  | { readonly state: 'revoked' | 'expired'; readonly sinceMs: number }
);

const HASH_LENGTH = 64;

/**
 * Every client key, in memory: requests never wait for the store. It is told of each change; what expires it sees for
 * itself. Revoked and expired keys stay in it, so that whoever uses one learns what became of it.
 */
export class KeyBook {
  readonly #hash: HashKey;
  #entries = new Map<string, Entry>();
  #keys = new Map<string, ClientKey>();
  readonly #asked = Buffer.alloc(HASH_LENGTH);

  constructor(hash: HashKey, keys: Iterable<ClientKey> = []) {
    this.#hash = hash;
    this.replace(keys);
  }

  /** Keys on record, revoked and expired ones too: revoking the last one must not open the door to everybody. */
  get size(): number {
    return this.#keys.size;
  }

  byId(id: string): ClientKey | null {
    return this.#keys.get(id) ?? null;
  }

  /**
   * Puts all of them in place of what was there, in one step.
   * @throws Error when two have the same id or hash, or a hash is none; then nothing has changed.
   */
  replace(keys: Iterable<ClientKey>): void {
    const entries = new Map<string, Entry>();
    const byId = new Map<string, ClientKey>();
    for (const key of keys) {
      if (byId.has(key.id)) throw new Error(`Two client keys have the id ${key.id}.`);
      addEntries(entries, key);
      byId.set(key.id, key);
    }
    this.#entries = entries;
    this.#keys = byId;
  }

  /**
   * In force when it returns. Late news cannot bring a revoked key back.
   * @throws Error when a hash belongs to another key, or is none; then nothing has changed.
   */
  apply(change: ClientKeyChange): void {
    const id = change.kind === 'put' ? change.key.id : change.id;
    const before = this.#keys.get(id);
    const after = change.kind === 'put' ? stayRevoked(change.key, before) : null;
    if (after !== null) this.#checkHashes(after);
    for (const version of before?.versions ?? []) this.#entries.delete(version.hash);
    if (after === null) {
      this.#keys.delete(id);
      return;
    }
    addEntries(this.#entries, after);
    this.#keys.set(id, after);
  }

  /**
   * @param text Checked to have a key's shape.
   * @param wallMs Now, milliseconds since the Unix epoch.
   */
  find(text: string, wallMs: number): FoundKey | null {
    const hash = this.#hash(text);
    const entry = this.#entries.get(hash);
    if (entry === undefined) return null;
    // The map compared already, in its own time; what decides takes the same time for every near miss.
    this.#asked.write(hash, 'latin1');
    if (!timingSafeEqual(this.#asked, entry.hash)) return null;
    return foundKey(entry, wallMs);
  }

  #checkHashes(key: ClientKey): void {
    for (const { hash } of key.versions) {
      checkHash(hash, key);
      const owner = this.#entries.get(hash)?.key;
      if (owner !== undefined && owner.id !== key.id) throw sameHash(owner, key);
    }
    if (new Set(key.versions.map(({ hash }) => hash)).size < key.versions.length) throw sameHash(key, key);
  }
}

function foundKey({ key, version, caller }: Entry, wallMs: number): FoundKey {
  if (key.revokedAtMs !== null) return { state: 'revoked', key, version, sinceMs: key.revokedAtMs };
  const endMs = Math.min(key.expiresAtMs ?? Number.POSITIVE_INFINITY, version.expiresAtMs ?? Number.POSITIVE_INFINITY);
  if (wallMs >= endMs) return { state: 'expired', key, version, sinceMs: endMs };
  return { state: 'live', key, version, caller };
}

function addEntries(entries: Map<string, Entry>, key: ClientKey): void {
  const caller = callerOf(key);
  for (const version of key.versions) {
    checkHash(version.hash, key);
    const other = entries.get(version.hash);
    if (other !== undefined) throw sameHash(other.key, key);
    entries.set(version.hash, { hash: Buffer.from(version.hash, 'latin1'), key, version, caller });
  }
}

function callerOf(key: ClientKey): Caller {
  const { name, organisationId, projectId, owner, policies, limits, budgets, metadata } = key;
  const rest = { name, organisationId, projectId, owner, policies, limits, budgets, metadata };
  return Object.freeze({ kind: 'key', keyId: key.id, ...rest });
}

function stayRevoked(key: ClientKey, before: ClientKey | undefined): ClientKey {
  const since = before?.revokedAtMs ?? null;
  return since === null || key.revokedAtMs !== null ? key : { ...key, revokedAtMs: since };
}

/** A shorter one would have to be compared in another time than the others. */
function checkHash(hash: string, key: ClientKey): void {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new Error(`What is stored of the client key ${key.id} is not a hash.`);
}

function sameHash(one: ClientKey, other: ClientKey): Error {
  return new Error(`The client keys ${one.id} and ${other.id} have the same hash.`);
}
