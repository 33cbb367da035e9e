import { type Kysely, type Selectable, type SelectQueryBuilder, sql, type Transaction } from 'kysely';
import type { AuditContent, AuditFilter, AuditPage, AuditQuery, AuditRecord, ChainPoint } from '../../../core/audit.ts';
import {
  type AuditCheckpoint,
  CHECKPOINT_EVERY,
  canonicalText,
  GENESIS_HASH,
  type Sha256,
} from '../../../core/audit-chain.ts';
import type { AuditCheckpointTable, AuditEntryTable, Tables } from '../tables.ts';

/** What a new entry is made of; its number and hashes come from the chain. */
export type NewAuditEntry = Omit<AuditContent, 'sequence'>;

export interface AuditTools {
  readonly sha256: Sha256;
  readonly sign: (point: ChainPoint, atMs: number) => AuditCheckpoint;
}

/** How a chain stands: all of one moment. */
export interface AuditState {
  readonly end: ChainPoint | null;
  /** The highest number of an entry; 0: there is none. */
  readonly lastSequence: number;
}

/** Entries at once, while exporting. */
const PAGE = 1_000;

/** The audit log: one chain of entries for each organisation, appended to and read, never changed. */
export class AuditRepository {
  readonly #db: Kysely<Tables>;
  readonly #tools: AuditTools;

  constructor(db: Kysely<Tables>, tools: AuditTools) {
    this.#db = db;
    this.#tools = tools;
  }

  /**
   * Appends within the caller's transaction: the entry is there if and only if the change is. From here until the
   * transaction ends nobody else appends to this organisation's chain, so it is best the last thing before the commit.
   */
  async append(transaction: Transaction<Tables>, entry: NewAuditEntry): Promise<ChainPoint> {
    const { organisationId, atMs } = entry;
    const before = await holdEnd(transaction, organisationId);
    const sequence = before.sequence + 1;
    const hash = this.#tools.sha256(canonicalText({ ...entry, sequence }, before.hash));
    const record: AuditRecord = { ...entry, sequence, previousHash: before.hash, hash };
    await transaction.insertInto('audit_entry').values(rowOf(record)).execute();
    await transaction
      .updateTable('audit_end')
      .set({ sequence, hash })
      .where('organisation_id', '=', organisationId)
      .execute();
    const point = { organisationId, sequence, hash };
    if (sequence % CHECKPOINT_EVERY === 0) await insertCheckpoint(transaction, this.#tools.sign(point, atMs));
    return point;
  }

  /** Signs where the chain ends now; harmless when that is signed already. */
  async checkpoint(point: ChainPoint, atMs: number): Promise<AuditCheckpoint> {
    const checkpoint = this.#tools.sign(point, atMs);
    await insertCheckpoint(this.#db, checkpoint);
    return checkpoint;
  }

  /** Where each organisation's chain ends. */
  async ends(): Promise<readonly ChainPoint[]> {
    const rows = await this.#db.selectFrom('audit_end').selectAll().where('sequence', '>', 0).execute();
    return rows.map((row) => ({ organisationId: row.organisation_id, sequence: row.sequence, hash: row.hash }));
  }

  /** In one statement, so that what others append meanwhile is in both numbers or in none. */
  async state(organisationId: string): Promise<AuditState> {
    const row = await this.#db
      .selectFrom(sql<{ one: number }>`(select 1 as one)`.as('once'))
      .leftJoin('audit_end', (join) => join.on('audit_end.organisation_id', '=', organisationId))
      .select(['audit_end.sequence', 'audit_end.hash'])
      .select((eb) =>
        eb
          .selectFrom('audit_entry')
          .select(({ fn }) => fn.max('audit_entry.sequence').as('last'))
          .where('audit_entry.organisation_id', '=', organisationId)
          .as('last'),
      )
      .executeTakeFirst();
    const sequence = row?.sequence ?? null;
    const hash = row?.hash ?? null;
    const end = sequence === null || hash === null ? null : { organisationId, sequence, hash };
    return { end, lastSequence: row?.last ?? 0 };
  }

  /** Null: there is no such entry. */
  async hashAt(organisationId: string, sequence: number): Promise<string | null> {
    const row = await this.#db
      .selectFrom('audit_entry')
      .select('hash')
      .where('organisation_id', '=', organisationId)
      .where('sequence', '=', sequence)
      .executeTakeFirst();
    return row?.hash ?? null;
  }

  async checkpoints(organisationId: string): Promise<readonly AuditCheckpoint[]> {
    const rows = await this.#db
      .selectFrom('audit_checkpoint')
      .selectAll()
      .where('organisation_id', '=', organisationId)
      .orderBy('sequence')
      .execute();
    return rows.map(checkpointOf);
  }

  /** Newest first. */
  async list(query: AuditQuery): Promise<AuditPage> {
    const { limit, beforeSequence } = query;
    let select = this.#matching(query)
      .orderBy('sequence', 'desc')
      .limit(limit + 1);
    if (beforeSequence !== null) select = select.where('sequence', '<', beforeSequence);
    const rows = await select.execute();
    const entries = rows.slice(0, limit).map(recordOf);
    return { entries, nextBefore: rows.length > limit ? (entries.at(-1)?.sequence ?? null) : null };
  }

  /** Oldest first, a page at a time: memory stays flat. */
  async *export(filter: AuditFilter, untilSequence = Number.MAX_SAFE_INTEGER): AsyncGenerator<AuditRecord> {
    for (let after = 0; ; ) {
      const rows = await this.#matching(filter)
        .where('sequence', '>', after)
        .where('sequence', '<=', untilSequence)
        .orderBy('sequence')
        .limit(PAGE)
        .execute();
      for (const row of rows) yield recordOf(row);
      const last = rows.at(-1);
      if (last === undefined || rows.length < PAGE) return;
      after = last.sequence;
    }
  }

  #matching(filter: AuditFilter): SelectQueryBuilder<Tables, 'audit_entry', Selectable<AuditEntryTable>> {
    const { organisationId, fromMs, toMs, actor, action, subject } = filter;
    let query = this.#db.selectFrom('audit_entry').selectAll().where('organisation_id', '=', organisationId);
    if (fromMs !== null) query = query.where('at_ms', '>=', fromMs);
    if (toMs !== null) query = query.where('at_ms', '<', toMs);
    if (actor !== null) query = query.where('actor_kind', '=', actor.kind);
    if (actor !== null && actor.id !== null) query = query.where('actor_id', '=', actor.id);
    if (subject !== null) query = query.where('subject', '=', subject);
    if (action === null) return query;
    if (!action.endsWith('*')) return query.where('action', '=', action);
    const beginning = action.slice(0, -1);
    // Not LIKE: SQLite's takes no account of case, and both know signs of their own.
    return query.where(sql<string>`substr(action, 1, ${beginning.length})`, '=', beginning);
  }
}

/** Locks the end of the chain until the transaction ends; makes it where the organisation has none yet. */
async function holdEnd(transaction: Transaction<Tables>, organisationId: string): Promise<ChainPoint> {
  const held = await lockEnd(transaction, organisationId);
  if (held !== null) return held;
  await transaction
    .insertInto('audit_end')
    .values({ organisation_id: organisationId, sequence: 0, hash: GENESIS_HASH })
    .onConflict((conflict) => conflict.column('organisation_id').doNothing())
    .execute();
  const made = await lockEnd(transaction, organisationId);
  if (made === null) throw new Error(`the end of the audit log of ${organisationId} could not be written`);
  return made;
}

/** An update that changes nothing: the lock on the row is the same in both databases. */
async function lockEnd(transaction: Transaction<Tables>, organisationId: string): Promise<ChainPoint | null> {
  const row = await transaction
    .updateTable('audit_end')
    .set((eb) => ({ sequence: eb.ref('sequence') }))
    .where('organisation_id', '=', organisationId)
    .returning(['sequence', 'hash'])
    .executeTakeFirst();
  return row === undefined ? null : { organisationId, ...row };
}

async function insertCheckpoint(db: Kysely<Tables>, checkpoint: AuditCheckpoint): Promise<void> {
  await db
    .insertInto('audit_checkpoint')
    .values({
      organisation_id: checkpoint.organisationId,
      sequence: checkpoint.sequence,
      key_id: checkpoint.keyId,
      hash: checkpoint.hash,
      at_ms: checkpoint.atMs,
      signature: checkpoint.signature,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function checkpointOf(row: Selectable<AuditCheckpointTable>): AuditCheckpoint {
  return {
    organisationId: row.organisation_id,
    sequence: row.sequence,
    hash: row.hash,
    atMs: row.at_ms,
    keyId: row.key_id,
    signature: row.signature,
  };
}

function rowOf(record: AuditRecord): Selectable<AuditEntryTable> {
  return {
    organisation_id: record.organisationId,
    sequence: record.sequence,
    at_ms: record.atMs,
    actor_kind: record.actorKind,
    actor_id: record.actorId,
    peer_address: record.peerAddress,
    request_id: record.requestId,
    action: record.action,
    subject: record.subject,
    before_json: record.before,
    after_json: record.after,
    outcome: record.outcome,
    previous_hash: record.previousHash,
    hash: record.hash,
  };
}

function recordOf(row: Selectable<AuditEntryTable>): AuditRecord {
  return {
    organisationId: row.organisation_id,
    sequence: row.sequence,
    atMs: row.at_ms,
    actorKind: row.actor_kind,
    actorId: row.actor_id,
    peerAddress: row.peer_address,
    requestId: row.request_id,
    action: row.action,
    subject: row.subject,
    before: row.before_json,
    after: row.after_json,
    outcome: row.outcome,
    previousHash: row.previous_hash,
    hash: row.hash,
  };
}
