import type { Kysely, Selectable } from 'kysely';
import { RevisionConflict } from '../../../core/key-store.ts';
import type { ClientKeyTable, ClientKeyVersionTable, Tables } from '../tables.ts';

/** A client key as it is kept; its secrets only as hashes. Times: ms since the Unix epoch. */
export interface StoredClientKey {
  readonly organisationId: string;
  readonly projectId: string;
  readonly keyId: string;
  readonly name: string;
  readonly owner: string | null;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** Plain JSON: what it may use, its limits, its metadata. */
  readonly policies: unknown;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
  /** Two while it is rotated; newest last. */
  readonly versions: readonly StoredKeyVersion[];
}

export interface StoredKeyVersion {
  readonly version: number;
  readonly prefix: string;
  readonly keyHash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
}

type Database = Kysely<Tables>;

/** Client keys of all tenants. Every change needs the tenant: no id alone reaches another one's row. */
export class ClientKeyRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async create(key: Omit<StoredClientKey, 'revision' | 'revokedAtMs'>): Promise<void> {
    await this.#db.transaction().execute((transaction) => insertKey(transaction, key));
  }

  /** For the snapshot that requests are checked against. */
  async all(): Promise<readonly StoredClientKey[]> {
    const keys = await this.#db
      .selectFrom('client_key')
      .selectAll()
      .orderBy('organisation_id')
      .orderBy('key_id')
      .execute();
    const versions = await this.#db.selectFrom('client_key_version').selectAll().orderBy('version').execute();
    const byKey = Map.groupBy(versions, (row) => `${row.organisation_id}\n${row.key_id}`);
    return keys.map((row) => keyOf(row, byKey.get(`${row.organisation_id}\n${row.key_id}`) ?? []));
  }

  async find(organisationId: string, keyId: string): Promise<StoredClientKey | null> {
    const row = await this.#db
      .selectFrom('client_key')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .where('key_id', '=', keyId)
      .executeTakeFirst();
    if (row === undefined) return null;
    const versions = await this.#db
      .selectFrom('client_key_version')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .where('key_id', '=', keyId)
      .orderBy('version')
      .execute();
    return keyOf(row, versions);
  }

  /** Rejects with RevisionConflict when the key's revision is another one, or the key is not there. */
  async change(
    at: { readonly organisationId: string; readonly keyId: string; readonly revision: number },
    changes: Partial<Pick<StoredClientKey, 'name' | 'owner' | 'expiresAtMs' | 'revokedAtMs' | 'policies'>>,
  ): Promise<void> {
    await changeRow(this.#db, at, changes);
  }

  /** A new secret; the ones before it live until `oldOnesExpireAtMs`. */
  async rotate(
    at: { readonly organisationId: string; readonly keyId: string; readonly revision: number },
    version: StoredKeyVersion,
    oldOnesExpireAtMs: number,
  ): Promise<void> {
    await this.#db.transaction().execute(async (transaction) => {
      await changeRow(transaction, at, {});
      await transaction
        .updateTable('client_key_version')
        .set({ expires_at_ms: oldOnesExpireAtMs })
        .where('organisation_id', '=', at.organisationId)
        .where('key_id', '=', at.keyId)
        .where(({ eb, or }) => or([eb('expires_at_ms', 'is', null), eb('expires_at_ms', '>', oldOnesExpireAtMs)]))
        .execute();
      await insertVersion(transaction, at, version);
    });
  }
}

export async function changeRow(
  db: Database,
  { organisationId, keyId, revision }: { organisationId: string; keyId: string; revision: number },
  changes: Partial<Pick<StoredClientKey, 'name' | 'owner' | 'expiresAtMs' | 'revokedAtMs' | 'policies'>>,
): Promise<void> {
  const { name, owner, expiresAtMs, revokedAtMs, policies } = changes;
  const result = await db
    .updateTable('client_key')
    .set({
      revision: revision + 1,
      ...(name === undefined ? {} : { name }),
      ...(owner === undefined ? {} : { owner }),
      ...(expiresAtMs === undefined ? {} : { expires_at_ms: expiresAtMs }),
      ...(revokedAtMs === undefined ? {} : { revoked_at_ms: revokedAtMs }),
      ...(policies === undefined ? {} : { policies: JSON.stringify(policies) }),
    })
    .where('organisation_id', '=', organisationId)
    .where('key_id', '=', keyId)
    .where('revision', '=', revision)
    .executeTakeFirst();
  if (Number(result.numUpdatedRows) === 0) {
    throw new RevisionConflict(`the key ${keyId} is not at revision ${revision} any more`);
  }
}

/** Within a transaction of the caller's. */
export async function insertKey(
  transaction: Database,
  key: Omit<StoredClientKey, 'revision' | 'revokedAtMs'>,
): Promise<void> {
  await transaction
    .insertInto('client_key')
    .values({
      organisation_id: key.organisationId,
      key_id: key.keyId,
      project_id: key.projectId,
      name: key.name,
      owner: key.owner,
      created_at_ms: key.createdAtMs,
      expires_at_ms: key.expiresAtMs,
      revoked_at_ms: null,
      policies: JSON.stringify(key.policies),
      revision: 1,
    })
    .execute();
  for (const version of key.versions) await insertVersion(transaction, key, version);
}

export async function insertVersion(
  db: Database,
  { organisationId, keyId }: { readonly organisationId: string; readonly keyId: string },
  version: StoredKeyVersion,
): Promise<void> {
  await db
    .insertInto('client_key_version')
    .values({
      organisation_id: organisationId,
      key_id: keyId,
      version: version.version,
      prefix: version.prefix,
      key_hash: version.keyHash,
      created_at_ms: version.createdAtMs,
      expires_at_ms: version.expiresAtMs,
    })
    .execute();
}

function keyOf(
  row: Selectable<ClientKeyTable>,
  versions: readonly Selectable<ClientKeyVersionTable>[],
): StoredClientKey {
  return {
    organisationId: row.organisation_id,
    projectId: row.project_id,
    keyId: row.key_id,
    name: row.name,
    owner: row.owner,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
    policies: JSON.parse(row.policies),
    revision: row.revision,
    versions: versions.map((version) => ({
      version: version.version,
      prefix: version.prefix,
      keyHash: version.key_hash,
      createdAtMs: version.created_at_ms,
      expiresAtMs: version.expires_at_ms,
    })),
  };
}
