import type { AuditContent, AuditFinding, AuditRecord, AuditVerdict, ChainPoint } from './audit.ts';

/** The hash before the first entry. */
export const GENESIS_HASH = '0'.repeat(64);

/** A signed checkpoint is kept with each entry whose number is a multiple of this. Never changes: `verify` expects them. */
export const CHECKPOINT_EVERY = 100;

/** Text → SHA-256 of its UTF-8 bytes, hexadecimal. */
export type Sha256 = (text: string) => string;

export interface AuditCheckpoint extends ChainPoint {
  readonly atMs: number;
  /** Which key signed it. */
  readonly keyId: string;
  /** Base64. */
  readonly signature: string;
}

/** `unknownKey`: nobody here can tell. */
export type SignatureCheck = (checkpoint: AuditCheckpoint) => 'good' | 'wrong' | 'unknownKey';

/** What the entries are held against. */
export interface ChainWitnesses {
  /** What the store keeps as the chain's end; null: it keeps none. */
  readonly end: ChainPoint | null;
  /** Those in the store. */
  readonly checkpoints: readonly AuditCheckpoint[];
  /** The latest one that is kept outside the store; null: none was yet. */
  readonly anchor: AuditCheckpoint | null;
}

export interface ChainChecks {
  readonly sha256: Sha256;
  readonly check: SignatureCheck;
}

/** The bytes that an entry's hash covers: JSON of its fields in this order. Never changes for entries that exist. */
export function canonicalText(content: AuditContent, previousHash: string): string {
  return JSON.stringify([
    'swarmrouter audit 1',
    content.organisationId,
    content.sequence,
    content.atMs,
    content.actorKind,
    content.actorId,
    content.peerAddress,
    content.requestId,
    content.action,
    content.subject,
    content.before,
    content.after,
    content.outcome,
    previousHash,
  ]);
}

/** The bytes that a checkpoint's signature covers. */
export function checkpointText({ organisationId, sequence, hash, atMs }: Omit<AuditCheckpoint, 'signature'>): string {
  return JSON.stringify(['swarmrouter audit checkpoint 1', organisationId, sequence, hash, atMs]);
}

/** Reads the chain of one organisation, in the order that it is kept in, and names the first entry that is not as it was. */
export async function verifyChain(
  records: AsyncIterable<AuditRecord>,
  witnesses: ChainWitnesses,
  checks: ChainChecks,
): Promise<AuditVerdict> {
  const reading = new ChainReading(witnesses, checks);
  let gap: Gap | null = null;
  for await (const record of records) {
    if (gap !== null) {
      // Whether it is missing or only later tells the rest.
      if (record.sequence === gap.sequence) return reading.bad(reorderedAt(gap));
    } else if (record.sequence > reading.next) gap = { sequence: reading.next, found: record.sequence };
    else {
      const finding = reading.take(record);
      if (finding !== null) return reading.bad(finding);
    }
  }
  if (gap !== null) return reading.bad(missingAt(gap));
  const finding = reading.atEnd();
  return finding === null ? reading.good() : reading.bad(finding);
}

interface Gap {
  readonly sequence: number;
  /** What came in its place. */
  readonly found: number;
}

const missingAt = ({ sequence, found }: Gap): AuditFinding => ({
  sequence,
  fault: 'missing',
  message: `Entry ${sequence} is missing: entry ${found} comes in its place.`,
});

const reorderedAt = ({ sequence, found }: Gap): AuditFinding => ({
  sequence,
  fault: 'reordered',
  message: `Entry ${sequence} comes after entry ${found}.`,
});

/** How far around its place an entry's own number is looked for when two seem to have changed places. */
const SWAP_DISTANCE = 200;

class ChainReading {
  readonly #checks: ChainChecks;
  readonly #end: ChainPoint | null;
  readonly #anchor: AuditCheckpoint | null;
  readonly #checkpoints: ReadonlyMap<number, readonly AuditCheckpoint[]>;
  /** The number of the last entry that a checkpoint confirmed. */
  #confirmed = 0;
  #confirmations = 0;
  #sequence = 0;
  #hash = GENESIS_HASH;
  #organisationId = '';

  constructor({ end, checkpoints, anchor }: ChainWitnesses, checks: ChainChecks) {
    this.#checks = checks;
    this.#end = end;
    this.#anchor = anchor;
    const all = anchor === null ? checkpoints : [...checkpoints, anchor];
    this.#checkpoints = Map.groupBy(all, ({ sequence }) => sequence);
  }

  /** The number that the next entry should have. */
  get next(): number {
    return this.#sequence + 1;
  }

  /** Null: it is as it should be. */
  take(record: AuditRecord): AuditFinding | null {
    const finding = this.#wrongPlace(record) ?? this.#wrongContent(record) ?? this.#wrongLink(record);
    if (finding !== null) return finding;
    this.#sequence = record.sequence;
    this.#hash = record.hash;
    this.#organisationId = record.organisationId;
    return this.#againstCheckpoints();
  }

  /** After the last entry. */
  atEnd(): AuditFinding | null {
    const last = this.#sequence;
    if (this.#end === null && last > 0) {
      const message = `The store's own mark of where the chain ends is gone; entry ${last} is the last.`;
      return { sequence: last, fault: 'bad checkpoint', message };
    }
    const beyond = [...this.#checkpoints.keys()].filter((sequence) => sequence > last);
    const until = Math.max(this.#end?.sequence ?? 0, ...beyond);
    if (until > last) return this.#cutOff(until);
    if (this.#end !== null && this.#end.sequence === last && this.#end.hash !== this.#hash) {
      const message = `The store's own mark of where the chain ends does not fit entry ${last}: one of the two was changed.`;
      return { sequence: last, fault: 'changed', message };
    }
    return null;
  }

  bad(firstBad: AuditFinding): AuditVerdict {
    return { ok: false, entries: this.#sequence, checkpoints: this.#confirmations, end: null, firstBad };
  }

  good(): AuditVerdict {
    const organisationId = this.#organisationId;
    const end = this.#sequence === 0 ? null : { organisationId, sequence: this.#sequence, hash: this.#hash };
    return { ok: true, entries: this.#sequence, checkpoints: this.#confirmations, end, firstBad: null };
  }

  #wrongPlace({ sequence }: AuditRecord): AuditFinding | null {
    if (sequence < this.next) {
      const message = `Entry ${sequence} comes after entry ${this.#sequence}, or a second time.`;
      return { sequence, fault: 'reordered', message };
    }
    if (sequence <= (this.#end?.sequence ?? Number.POSITIVE_INFINITY)) return null;
    const message = `Entry ${sequence} comes after entry ${this.#end?.sequence}, which is the last that the gateway wrote.`;
    return { sequence, fault: 'added', message };
  }

  #wrongContent(record: AuditRecord): AuditFinding | null {
    const { sequence, previousHash, hash } = record;
    const isAt = (place: number): boolean =>
      this.#checks.sha256(canonicalText({ ...record, sequence: place }, previousHash)) === hash;
    if (isAt(sequence)) return null;
    for (let distance = 1; distance <= SWAP_DISTANCE; distance++) {
      for (const place of [sequence + distance, sequence - distance]) {
        if (place < 1 || !isAt(place)) continue;
        return { sequence, fault: 'reordered', message: `In the place of entry ${sequence} stands entry ${place}.` };
      }
    }
    const message = `Entry ${sequence} does not fit its hash: something in it was changed.`;
    return { sequence, fault: 'changed', message };
  }

  #wrongLink({ sequence, previousHash }: AuditRecord): AuditFinding | null {
    if (previousHash === this.#hash) return null;
    const message =
      this.#sequence === 0
        ? `Entry ${sequence} says that another one came before it.`
        : `Entry ${sequence} was written after another entry ${this.#sequence} than the one that is there: one of the two was changed and hashed anew.`;
    return { sequence: Math.max(1, this.#sequence), fault: 'changed', message };
  }

  #againstCheckpoints(): AuditFinding | null {
    const here = this.#checkpoints.get(this.#sequence) ?? [];
    for (const checkpoint of here) {
      const finding = this.#againstCheckpoint(checkpoint);
      if (finding !== null) return finding;
      this.#confirmations++;
    }
    const inStore = here.filter((checkpoint) => checkpoint !== this.#anchor);
    if (this.#sequence % CHECKPOINT_EVERY === 0 && inStore.length === 0) {
      return this.#badCheckpoint('is missing');
    }
    if (here.length > 0) this.#confirmed = this.#sequence;
    return null;
  }

  #againstCheckpoint(checkpoint: AuditCheckpoint): AuditFinding | null {
    const { keyId, hash } = checkpoint;
    const where = checkpoint === this.#anchor ? ' outside the store' : '';
    const verdict = this.#checks.check(checkpoint);
    if (verdict === 'wrong') return this.#badCheckpoint(`${where} does not fit its signature`);
    if (verdict === 'unknownKey') {
      return this.#badCheckpoint(`${where} is signed with the key ${keyId}, which is not among the known ones`);
    }
    if (hash === this.#hash) return null;
    const first = this.#confirmed + 1;
    const which = first >= this.#sequence ? `Entry ${first}` : `One of the entries ${first} to ${this.#sequence}`;
    const message = `${which} was changed, and what follows hashed anew: the signed checkpoint${where} of entry ${this.#sequence} says so.`;
    return { sequence: first, fault: 'changed', message };
  }

  #badCheckpoint(what: string): AuditFinding {
    const message = `The checkpoint of entry ${this.#sequence}${what.startsWith(' ') ? what : ` ${what}`}.`;
    return { sequence: this.#sequence, fault: 'bad checkpoint', message };
  }

  #cutOff(until: number): AuditFinding {
    const first = this.#sequence + 1;
    const which = first === until ? `Entry ${first} is` : `Entries ${first} to ${until} are`;
    const message = `${which} cut off: the chain ends before them, and was longer once.`;
    return { sequence: first, fault: 'cut off', message };
  }
}
