import type { AuditAction, AuditOrigin } from './audit.ts';
import type { BudgetUnit, BudgetWindow } from './budget.ts';
import type { ClientKey, KeyState } from './client-key.ts';

/** What a budget counted in the window that runs. Amounts: nano-USD or tokens, by `unit`. */
export interface BudgetUse {
  readonly unit: BudgetUnit;
  readonly window: BudgetWindow;
  readonly limit: number;
  readonly hard: boolean;
  readonly spent: number;
  /** Set aside for calls that run. */
  readonly reserved: number;
  /** ms since the Unix epoch; null: never. */
  readonly resetsAtMs: number | null;
}

/** A client key as it is stored now. */
export interface KeyRecord {
  readonly key: ClientKey;
  /** ≥ 1; goes up with every change. */
  readonly revision: number;
  readonly budgets: readonly BudgetUse[];
}

/** Which keys of an organisation; null: all. */
export interface KeyFilter {
  readonly organisationId: string;
  /** Of these projects. */
  readonly projectIds: readonly string[] | null;
  readonly name: string | null;
  /** How a text of theirs begins. */
  readonly prefix: string | null;
  readonly state: KeyState | null;
}

export interface KeyQuery extends KeyFilter {
  readonly limit: number;
  /** Only those after this one; null: from the oldest on. */
  readonly afterId: string | null;
}

export interface KeyPage {
  /** Oldest first. */
  readonly records: readonly KeyRecord[];
  /** What `afterId` is of the next page; null: this is the last. */
  readonly nextAfterId: string | null;
}

/** Who asks for a change, and what the audit log calls it. */
export interface KeyDeed {
  readonly action: AuditAction;
  readonly origin: AuditOrigin;
}

/** Which revision a change asked for, and which there is; 0: none. */
export interface Revisions {
  readonly asked: number;
  readonly inForce: number;
}

/** Somebody else changed it since it was read; nothing was written. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  /** Null: not known, it was changed in the very moment. */
  readonly revisions: Revisions | null;

  constructor(message: string, revisions: Revisions | null = null) {
    super(message);
    this.revisions = revisions;
  }
}

/** @param what for the message: `The key` @throws RevisionConflict when `asked` names another revision than the one in force */
export function checkRevision(what: string, asked: number | null, inForce: number): void {
  if (asked === null || asked === inForce) return;
  throw new RevisionConflict(`${what} is at revision ${inForce}, not at ${asked} any more.`, { asked, inForce });
}

/** Where client keys are kept, with their budgets. Each change is made whole, with its entry in the audit log, or not at all. */
export interface ClientKeyStore {
  /** Oldest first. */
  all(nowMs: number): Promise<readonly KeyRecord[]>;
  page(query: KeyQuery, nowMs: number): Promise<KeyPage>;
  /** Those of them that there are. */
  some(ids: readonly string[], nowMs: number): Promise<readonly KeyRecord[]>;
  /** Of the pepper that the newest text of a key was hashed with; null: there is none. */
  pepperCheck(): Promise<string | null>;
  /** Its project is made where there is none. */
  create(key: ClientKey, deed: KeyDeed): Promise<void>;
  /**
   * Puts `key` in place of what was read. Its budgets keep what they have spent: of one unit and window there is one.
   * Rejects with RevisionConflict.
   */
  change(before: KeyRecord, key: ClientKey, nowMs: number, deed: KeyDeed): Promise<void>;
}
