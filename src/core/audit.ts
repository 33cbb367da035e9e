/**
 * Who did it. `admin`: whoever has the admin key · `key`: a client key · `user`, `token`: a person or machine of the
 * admin API · `system`: the gateway itself, such as when a file was changed · `anyone`: nobody that is known.
 */
export const AUDIT_ACTOR_KINDS = ['admin', 'key', 'user', 'token', 'system', 'anyone'] as const;

export interface AuditActor {
  readonly kind: (typeof AUDIT_ACTOR_KINDS)[number];
  /** The id of the key, user or token, or what of the system it was; null: there is none. Never a secret. */
  readonly id: string | null;
}

/** Who asked for a change, and from where. */
export interface AuditOrigin {
  readonly actor: AuditActor;
  /** Of the connection's other end; null: it did not come over a connection. */
  readonly peerAddress: string | null;
  /** Null: it was no request. */
  readonly requestId: string | null;
}

export const AUDIT_OUTCOMES = ['allowed', 'refused'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** What was done, as thing and deed: `provider.add`, `key.revoke`. */
export type AuditAction = `${string}.${string}`;

/** What somebody did, or tried to do. */
export interface AuditEvent {
  readonly origin: AuditOrigin;
  readonly action: AuditAction;
  /** What it was done to, as kind and name: `provider:openrouter`, `key:key_1`. */
  readonly subject: string;
  /** Plain data, as it was before and is after; a `Secret` anywhere in it is kept as a fingerprint. Null: there was nothing. */
  readonly before?: unknown;
  readonly after?: unknown;
  /** Default: `allowed`. */
  readonly outcome?: AuditOutcome;
  /** Default: `default`. */
  readonly organisationId?: string;
}

/** What an entry says, in the words that are kept: JSON as text, so that its bytes never change. */
export interface AuditContent {
  readonly organisationId: string;
  /** From 1, without a gap, in each organisation. */
  readonly sequence: number;
  /** ms since the Unix epoch. */
  readonly atMs: number;
  readonly actorKind: string;
  readonly actorId: string | null;
  readonly peerAddress: string | null;
  readonly requestId: string | null;
  readonly action: string;
  readonly subject: string;
  readonly before: string | null;
  readonly after: string | null;
  readonly outcome: string;
}

/** An entry of the chain. Hashes: SHA-256, hexadecimal. */
export interface AuditRecord extends AuditContent {
  readonly previousHash: string;
  /** Covers the content and the hash before it. */
  readonly hash: string;
}

/** How an organisation's chain stands at one entry. */
export interface ChainPoint {
  readonly organisationId: string;
  readonly sequence: number;
  readonly hash: string;
}

export type AuditFault = 'changed' | 'missing' | 'reordered' | 'added' | 'cut off' | 'bad checkpoint';

export interface AuditVerdict {
  readonly ok: boolean;
  /** How many were read until the end, or the first bad one. */
  readonly entries: number;
  /** Checkpoints that were confirmed, those outside the store included. */
  readonly checkpoints: number;
  /** Where the chain ends; null: it has no entry, or it is bad. */
  readonly end: ChainPoint | null;
  /** Null: none. */
  readonly firstBad: AuditFinding | null;
}

export interface AuditFinding {
  readonly sequence: number;
  readonly fault: AuditFault;
  /** A sentence for people. */
  readonly message: string;
}

/** Which entries; null: all. */
export interface AuditFilter {
  readonly organisationId: string;
  /** ms since the Unix epoch; `toMs` excluded. */
  readonly fromMs: number | null;
  readonly toMs: number | null;
  readonly actor: { readonly kind: string; readonly id: string | null } | null;
  /** One that ends with `*`: all that begin so. */
  readonly action: string | null;
  readonly subject: string | null;
}

export interface AuditQuery extends AuditFilter {
  readonly limit: number;
  /** Only entries before this one; null: from the newest on. */
  readonly beforeSequence: number | null;
}

export interface AuditPage {
  /** Newest first. */
  readonly entries: readonly AuditRecord[];
  /** What `beforeSequence` is of the next page; null: this is the last. */
  readonly nextBefore: number | null;
}

/** What can be asked of the audit log. */
export interface AuditReports {
  list(query: AuditQuery): Promise<AuditPage>;
  /** Oldest first, a page at a time: memory stays flat. */
  export(filter: AuditFilter): AsyncIterable<AuditRecord>;
  verify(organisationId: string): Promise<AuditVerdict>;
}

/** Where things are put on record that are no change of the store's own. */
export interface AuditSink {
  /** Resolves when it is on the disk; rejects when it cannot be, and then the change must not happen. */
  record(event: AuditEvent): Promise<void>;
}

/** Where nothing is kept: there is no store. */
export const NO_AUDIT: AuditSink = { record: async () => undefined };

/** The gateway itself. @param id what of it: `file`, `signal` */
export function systemOrigin(id: string): AuditOrigin {
  return { actor: { kind: 'system', id }, peerAddress: null, requestId: null };
}
