import { type ExpressionBuilder, type Kysely, type Selectable, sql } from 'kysely';
import type { KeyState } from '../../../core/client-key.ts';
import { type KeyQuery, RevisionConflict } from '../../../core/key-store.ts';
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

type KeyRowChange = Partial<
  Pick<StoredClientKey, 'projectId' | 'name' | 'owner' | 'expiresAtMs' | 'revokedAtMs' | 'policies'>
>;
type Database = Kysely<Tables>;

/** Client keys of all tenants, for reading. */
export class ClientKeyRepository {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** For the snapshot that requests are checked against. */
  async all(): Promise<readonly StoredClientKey[]> {
    const keys = await this.#db
      .selectFrom('client_key')
      .selectAll()
      .orderBy('organisation_id')
      .orderBy('key_id')
      .execute();
    return withVersions(keys, await this.#db.selectFrom('client_key_version').selectAll().orderBy('version').execute());
  }

  /** Those of them that there are. @param organisationId only those of this one; left out: whosever they are */
  async some(keyIds: readonly string[], organisationId?: string): Promise<readonly StoredClientKey[]> {
    if (keyIds.length === 0) return [];
    let keys = this.#db.selectFrom('client_key').selectAll().where('key_id', 'in', keyIds);
    if (organisationId !== undefined) keys = keys.where('organisation_id', '=', organisationId);
    // Texts of keys that are not among them go nowhere.
    const versions = this.#db.selectFrom('client_key_version').selectAll().where('key_id', 'in', keyIds);
    return withVersions(...(await Promise.all([keys.execute(), versions.orderBy('version').execute()])));
  }

  /** Ids of those that match, oldest first. Of keys made in the same millisecond in the order of their ids. */
  async ids(query: KeyQuery, nowMs: number): Promise<readonly string[]> {
    const { organisationId, projectIds, name, prefix, state, afterId, limit } = query;
    if (projectIds?.length === 0) return [];
    let select = this.#db.selectFrom('client_key').select('key_id').where('organisation_id', '=', organisationId);
    if (projectIds !== null) select = select.where('project_id', 'in', projectIds);
    if (name !== null) select = select.where('name', '=', name);
    if (prefix !== null) {
      select = select.where('key_id', 'in', (eb) =>
        eb
          .selectFrom('client_key_version')
          .select('key_id')
          // Not LIKE: SQLite's takes no account of case, and both know signs of their own.
          .where(sql<string>`substr(prefix, 1, ${prefix.length})`, '=', prefix),
      );
    }
    if (state !== null) select = select.where((eb) => inState(eb, state, nowMs));
    if (afterId !== null) {
      const after = (column: 'created_at_ms' | 'key_id') =>
        sql`(select ${sql.ref(column)} from client_key where organisation_id = ${organisationId} and key_id = ${afterId})`;
      select = select.where(
        sql<boolean>`(created_at_ms > ${after('created_at_ms')} or (created_at_ms = ${after('created_at_ms')} and key_id > ${afterId}))`,
      );
    }
    const rows = await select.orderBy('created_at_ms').orderBy('key_id').limit(limit).execute();
    return rows.map((row) => row.key_id);
  }
}

function inState(eb: ExpressionBuilder<Tables, 'client_key'>, state: KeyState, nowMs: number) {
  if (state === 'revoked') return eb('revoked_at_ms', 'is not', null);
  const expired = eb('expires_at_ms', '<=', nowMs);
  const ends = state === 'expired' ? expired : eb.or([eb('expires_at_ms', 'is', null), eb.not(expired)]);
  return eb.and([eb('revoked_at_ms', 'is', null), ends]);
}

/** Rejects with RevisionConflict when the key's revision is another one, or the tenant has no such key. */
export async function changeRow(
  db: Database,
  { organisationId, keyId, revision }: { organisationId: string; keyId: string; revision: number },
  changes: KeyRowChange,
): Promise<void> {
  const { projectId, name, owner, expiresAtMs, revokedAtMs, policies } = changes;
  const result = await db
    .updateTable('client_key')
    .set({
      revision: revision + 1,
      ...(projectId === undefined ? {} : { project_id: projectId }),
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

function withVersions(
  keys: readonly Selectable<ClientKeyTable>[],
  versions: readonly Selectable<ClientKeyVersionTable>[],
): readonly StoredClientKey[] {
  const byKey = Map.groupBy(versions, (row) => `${row.organisation_id}\n${row.key_id}`);
  return keys.map((row) => keyOf(row, byKey.get(`${row.organisation_id}\n${row.key_id}`) ?? []));
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
