import { createHash } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import type {
  AuditEvent,
  AuditFilter,
  AuditPage,
  AuditQuery,
  AuditRecord,
  AuditReports,
  AuditSink,
  AuditVerdict,
  ChainPoint,
} from '../core/audit.ts';
import { type AuditCheckpoint, type ChainWitnesses, verifyChain } from '../core/audit-chain.ts';
import { DEFAULT_ORGANISATION } from '../core/caller.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { Turns } from '../core/turns.ts';
import { type AuditAnchorFile, auditAnchorFile } from './audit-anchor-file.ts';
import { type AuditKeys, loadAuditKeys } from './audit-keys.ts';
import { auditJson, auditName } from './audit-text.ts';
import { AuditRepository, type NewAuditEntry } from './sql/repositories/audit.ts';
import { type Seal, SharedAuditKeys } from './sql/repositories/shared-audit-keys.ts';
import type { Tables } from './sql/tables.ts';
import { againWhileLocked } from './sql/while-locked.ts';

export interface AuditLogParts {
  readonly db: Kysely<Tables>;
  readonly keys: AuditKeys;
  readonly anchors: AuditAnchorFile;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Null: nobody else signs in this store. */
  readonly shared: SharedAuditKeys | null;
}

/** What was appended is protected outside the database after this long. */
const ANCHOR_AFTER_MS = 1_000;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * With the keys and anchors of this data folder, made where there are none.
 * @param seal of the secret that all gateways on the store have in common: each then trusts the keys of the others
 */
export async function openAuditLog(
  parts: Pick<AuditLogParts, 'db' | 'clock' | 'logger'> & { readonly dataDir: string; readonly seal?: Seal },
): Promise<AuditLog> {
  const { dataDir, seal, ...rest } = parts;
  const keys = await loadAuditKeys(dataDir);
  const shared = seal === undefined ? null : new SharedAuditKeys(parts.db, seal);
  await shared?.publish(keys.keyId, keys.publicKey);
  return new AuditLog({ ...rest, keys, shared, anchors: auditAnchorFile(dataDir) });
}

/** Who did what. One for each open store. */
export class AuditLog implements AuditSink, AuditReports {
  readonly #parts: AuditLogParts;
  readonly #repository: AuditRepository;
  readonly #turns = new Turns();
  /** Organisations whose chain this process made longer since its end was anchored, or signed. */
  readonly #notAnchored = new Set<string>();
  readonly #notSigned = new Set<string>();
  #cancelAnchoring: (() => void) | null = null;

  constructor(parts: AuditLogParts) {
    this.#parts = parts;
    const { keys } = parts;
    this.#repository = new AuditRepository(parts.db, { sha256, sign: (point, atMs) => keys.sign(point, atMs) });
  }

  /**
   * Within the transaction of the change itself, as the last thing in it: then there is no change without its entry, and
   * no entry without its change. Rejects when it cannot be written, and the change must not be either.
   */
  async append(transaction: Transaction<Tables>, event: AuditEvent): Promise<void> {
    const entry = this.#entryOf(event);
    await this.#repository.append(transaction, entry);
    this.#notSigned.add(entry.organisationId);
    this.#notAnchored.add(entry.organisationId);
    this.#cancelAnchoring ??= this.#parts.clock.after(ANCHOR_AFTER_MS, () => {
      this.#cancelAnchoring = null;
      void this.#anchor();
    });
  }

  /** For what is no change of the database: a transaction of its own. */
  record(event: AuditEvent): Promise<void> {
    return this.recordChange(event, async () => undefined);
  }

  /** The change and its entry: both are written, or neither. `change` may be tried again. */
  recordChange(event: AuditEvent, change: (transaction: Transaction<Tables>) => Promise<void>): Promise<void> {
    return againWhileLocked(() =>
      this.#parts.db.transaction().execute(async (transaction) => {
        await change(transaction);
        await this.append(transaction, event);
      }),
    );
  }

  list(query: AuditQuery): Promise<AuditPage> {
    return this.#repository.list(query);
  }

  export(filter: AuditFilter): AsyncIterable<AuditRecord> {
    return this.#repository.export(filter);
  }

  async verify(organisationId: string): Promise<AuditVerdict> {
    const { shared, keys } = this.#parts;
    if (shared !== null) await keys.trust(await shared.sealed());
    const { witnesses, lastSequence } = await this.#witnesses(organisationId);
    const all = { organisationId, fromMs: null, toMs: null, actor: null, action: null, subject: null };
    return verifyChain(this.#repository.export(all, lastSequence), witnesses, {
      sha256,
      check: this.#parts.keys.check,
    });
  }

  /** Signs the ends of the chains that it made longer. Call it before the store is closed. */
  async close(): Promise<void> {
    this.#cancelAnchoring?.();
    this.#cancelAnchoring = null;
    // A transaction that took longer than the timer was not in the end that it anchored.
    for (const organisation of this.#notSigned) this.#notAnchored.add(organisation);
    try {
      for (const end of await this.#ends(this.#notSigned)) {
        await this.#repository.checkpoint(end, this.#parts.clock.wallMs());
      }
    } catch (error) {
      this.#parts.logger.warn({ error: String(error) }, 'the end of the audit log could not be signed');
    }
    await this.#anchor();
  }

  async #witnesses(organisationId: string): Promise<{ witnesses: ChainWitnesses; lastSequence: number }> {
    // In this order: others append meanwhile, and what is known of the end must not be older than what is held against it.
    const anchors = await this.#parts.anchors.read();
    const early = await this.#repository.checkpoints(organisationId);
    const { end, lastSequence } = await this.#repository.state(organisationId);
    const late = (await this.#repository.checkpoints(organisationId)).filter(
      ({ sequence }) => sequence <= lastSequence && !early.some((checkpoint) => checkpoint.sequence === sequence),
    );
    const anchor = anchors.find((candidate) => candidate.organisationId === organisationId) ?? null;
    return { witnesses: { end, checkpoints: [...early, ...late], anchor }, lastSequence };
  }

  #entryOf(event: AuditEvent): NewAuditEntry {
    const { origin, before, after, outcome = 'allowed', organisationId = DEFAULT_ORGANISATION } = event;
    const nameOrNull = (text: string | null): string | null => (text === null ? null : auditName(text));
    const { fingerprint } = this.#parts.keys;
    return {
      organisationId,
      atMs: this.#parts.clock.wallMs(),
      actorKind: origin.actor.kind,
      actorId: nameOrNull(origin.actor.id),
      peerAddress: nameOrNull(origin.peerAddress),
      requestId: nameOrNull(origin.requestId),
      action: auditName(event.action),
      subject: auditName(event.subject),
      before: auditJson(before, fingerprint),
      after: auditJson(after, fingerprint),
      outcome,
    };
  }

  async #ends(of: ReadonlySet<string>): Promise<readonly ChainPoint[]> {
    if (of.size === 0) return [];
    return (await this.#repository.ends()).filter(({ organisationId }) => of.has(organisationId));
  }

  /** Never rejects: the next one makes up for it. */
  #anchor(): Promise<void> {
    return this.#turns.run(async () => {
      const organisations = new Set(this.#notAnchored);
      this.#notAnchored.clear();
      try {
        await this.#moveAnchors(await this.#ends(organisations));
      } catch (error) {
        for (const organisation of organisations) this.#notAnchored.add(organisation);
        this.#parts.logger.warn(
          { error: String(error) },
          'the end of the audit log could not be kept outside the store',
        );
      }
    });
  }

  async #moveAnchors(ends: readonly ChainPoint[]): Promise<void> {
    if (ends.length === 0) return;
    const { anchors, keys, clock } = this.#parts;
    const byOrganisation = new Map((await anchors.read()).map((anchor) => [anchor.organisationId, anchor]));
    for (const end of ends) {
      const anchor = byOrganisation.get(end.organisationId) ?? null;
      if (anchor !== null && !(await this.#stillStands(anchor))) continue;
      if (anchor === null || anchor.sequence < end.sequence) {
        byOrganisation.set(end.organisationId, keys.sign(end, clock.wallMs()));
      }
    }
    await anchors.write([...byOrganisation.values()]);
  }

  /** An anchor that the log does not fit any more is the proof of it: it stays. */
  async #stillStands(anchor: AuditCheckpoint): Promise<boolean> {
    const { organisationId, sequence, hash } = anchor;
    if ((await this.#repository.hashAt(organisationId, sequence)) === hash) return true;
    this.#parts.logger.error(
      { organisation: organisationId, entry: sequence },
      'the audit log is not what it was; GET /admin/audit/verify tells where',
    );
    return false;
  }
}
