import { describe, expect, test } from 'bun:test';
import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import type { AuditContent, AuditRecord } from './audit.ts';
import {
  type AuditCheckpoint,
  CHECKPOINT_EVERY,
  type ChainWitnesses,
  canonicalText,
  checkpointText,
  GENESIS_HASH,
  verifyChain,
} from './audit-chain.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const signed = (text: string): string => createHmac('sha256', 'key').update(text).digest('base64');
const check = (checkpoint: AuditCheckpoint) => {
  if (checkpoint.keyId !== 'k') return 'unknownKey';
  return checkpoint.signature === signed(checkpointText(checkpoint)) ? 'good' : 'wrong';
};

const contentOf = (sequence: number): AuditContent => ({
  organisationId: 'default',
  sequence,
  atMs: 1_700_000_000_000 + sequence,
  actorKind: 'admin',
  actorId: 'admin-key',
  peerAddress: '127.0.0.1',
  requestId: `req_${sequence}`,
  action: 'key.create',
  subject: `key:${sequence}`,
  before: sequence % 2 === 0 ? null : '{"rpm":1}',
  after: '{"rpm":2}',
  outcome: 'allowed',
});

const hashed = (content: AuditContent, previousHash: string): AuditRecord => ({
  ...content,
  previousHash,
  hash: sha256(canonicalText(content, previousHash)),
});

const checkpointAt = ({ organisationId, sequence, hash }: AuditRecord): AuditCheckpoint => {
  const unsigned = { organisationId, sequence, hash, atMs: 5, keyId: 'k' };
  return { ...unsigned, signature: signed(checkpointText(unsigned)) };
};

/** What is kept of a chain of this length. */
interface Kept {
  readonly records: readonly AuditRecord[];
  readonly witnesses: ChainWitnesses;
}

function chainOf(length: number): Kept {
  const records: AuditRecord[] = [];
  for (let sequence = 1; sequence <= length; sequence++) {
    records.push(hashed(contentOf(sequence), records.at(-1)?.hash ?? GENESIS_HASH));
  }
  const last = records.at(-1);
  const end = last === undefined ? null : { organisationId: 'default', sequence: length, hash: last.hash };
  const checkpoints = records.filter(({ sequence }) => sequence % CHECKPOINT_EVERY === 0).map(checkpointAt);
  return { records, witnesses: { end, checkpoints, anchor: last === undefined ? null : checkpointAt(last) } };
}

async function* each(records: readonly AuditRecord[]): AsyncGenerator<AuditRecord> {
  yield* records;
}

const verify = ({ records, witnesses }: Kept) => verifyChain(each(records), witnesses, { sha256, check });
const firstBad = async (kept: Kept) => {
  const { ok, firstBad: found } = await verify(kept);
  expect(ok).toBe(found === null);
  return found === null ? null : `${found.fault} ${found.sequence}`;
};

/** Every entry from `from` on hashed anew, as somebody who can write to the table would. */
function rewritten(records: readonly AuditRecord[], from: number, change: Partial<AuditContent>): AuditRecord[] {
  const result = records.slice(0, from - 1);
  for (const record of records.slice(from - 1)) {
    const content = record.sequence === from ? { ...record, ...change } : record;
    result.push(hashed(content, result.at(-1)?.hash ?? GENESIS_HASH));
  }
  return result;
}

const LENGTH = 230;
const sound = chainOf(LENGTH);
const with_ = (records: readonly AuditRecord[], witnesses: Partial<ChainWitnesses> = {}): Kept => ({
  records,
  witnesses: { ...sound.witnesses, ...witnesses },
});
const place = fc.integer({ min: 0, max: LENGTH - 1 });

describe('S-20 a chain of audit entries', () => {
  test('that nobody touched is good, whatever its length, and says where it ends', async () => {
    for (const length of [0, 1, 99, 100, 101, 230]) {
      const kept = chainOf(length);
      const verdict = await verify(kept);
      expect(verdict).toMatchObject({ ok: true, entries: length, firstBad: null });
      expect(verdict.end?.hash ?? null).toBe(kept.records.at(-1)?.hash ?? null);
    }
    // Two at each hundred, and the one outside.
    expect((await verify(sound)).checkpoints).toBe(3);
  });

  test('names the entry of which any one field was changed, by as much as one character', async () => {
    const fields = Object.keys(sound.records[0] ?? {}) as (keyof AuditRecord)[];
    expect(fields).toHaveLength(14);
    await fc.assert(
      fc.asyncProperty(place, fc.constantFrom(...fields), fc.nat(), async (at, field, position) => {
        const record = sound.records[at] as AuditRecord;
        const found = await firstBad(
          with_(sound.records.with(at, { ...record, [field]: flipped(record[field], position) })),
        );
        if (field === 'sequence') expect(found).toMatch(/^(reordered|missing|added|changed) /);
        else expect(found).toBe(`changed ${at + 1}`);
      }),
      { numRuns: 400 },
    );
  });

  test('names the entry that was changed and hashed anew, alone', async () => {
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        const { previousHash } = sound.records[at] as AuditRecord;
        const forged = hashed({ ...contentOf(at + 1), subject: 'key:forged' }, previousHash);
        const { firstBad: found } = await verify(with_(sound.records.with(at, forged)));
        // A checkpoint at the place itself only knows that it is one since the checkpoint before.
        const isWitnessed = (at + 1) % CHECKPOINT_EVERY === 0 || at + 1 === LENGTH;
        const first = isWitnessed ? Math.floor(at / CHECKPOINT_EVERY) * CHECKPOINT_EVERY + 1 : at + 1;
        expect([found?.fault, found?.sequence]).toEqual(['changed', first]);
      }),
    );
  });

  test('names the entry that was taken out', async () => {
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        const found = await firstBad(with_(sound.records.toSpliced(at, 1)));
        expect(found).toBe(at === LENGTH - 1 ? `cut off ${LENGTH}` : `missing ${at + 1}`);
      }),
    );
  });

  test('names the first of two that changed places, with their numbers or without', async () => {
    await fc.assert(
      fc.asyncProperty(place, place, fc.boolean(), async (one, other, renumbered) => {
        fc.pre(one !== other);
        const [first, second] = [Math.min(one, other), Math.max(one, other)];
        const at = (index: number): AuditRecord => sound.records[index] as AuditRecord;
        const moved = (from: number, to: number): AuditRecord =>
          renumbered ? { ...at(from), sequence: at(to).sequence } : at(from);
        const swapped = sound.records.with(first, moved(second, first)).with(second, moved(first, second));
        const found = await firstBad(with_(swapped));
        if (renumbered && second - first > 200) expect(found).toBe(`changed ${first + 1}`);
        else expect(found).toBe(`reordered ${first + 1}`);
      }),
    );
  });

  test('says from where on it was cut off, also when the mark of its end was set back', async () => {
    await fc.assert(
      fc.asyncProperty(place, fc.boolean(), async (length, setBack) => {
        const shorter = chainOf(length);
        const end = setBack ? shorter.witnesses.end : sound.witnesses.end;
        const checkpoints = setBack ? shorter.witnesses.checkpoints : sound.witnesses.checkpoints;
        expect(await firstBad(with_(shorter.records, { end, checkpoints }))).toBe(`cut off ${length + 1}`);
      }),
    );
  });

  test('finds an entry that was put in, in the middle or at the end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: LENGTH }), async (at) => {
        const before = sound.records[at - 1];
        const forged = hashed({ ...contentOf(at + 1), subject: 'key:forged' }, before?.hash ?? GENESIS_HASH);
        const found = await firstBad(with_(sound.records.toSpliced(at, 0, forged)));
        expect(found).toMatch(at === LENGTH ? /^added 231$/ : /^(changed|reordered) \d+$/);
        // Where a checkpoint speaks of it, any entry since the one before may be meant.
        const isWitnessed = (at + 1) % CHECKPOINT_EVERY === 0 || at + 1 === LENGTH;
        const first = isWitnessed ? Math.floor(at / CHECKPOINT_EVERY) * CHECKPOINT_EVERY + 1 : at + 1;
        if (at < LENGTH) expect(Number(found?.split(' ')[1])).toBe(first);
      }),
    );
  });

  test('is found rewritten from any entry on, although every hash fits: a signed checkpoint does not', async () => {
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        const records = rewritten(sound.records, at + 1, { subject: 'key:other' });
        const last = records.at(-1) as AuditRecord;
        const end = { organisationId: 'default', sequence: LENGTH, hash: last.hash };
        const { firstBad: found } = await verify(with_(records, { end }));
        // Exactly where nobody can tell: between the last checkpoint that fits and the first that does not.
        expect(found?.fault).toBe('changed');
        expect(found?.sequence).toBe(Math.floor(at / CHECKPOINT_EVERY) * CHECKPOINT_EVERY + 1);
      }),
    );
  });

  test('is found rewritten also where the checkpoints were signed anew with another key, or taken away', async () => {
    const records = rewritten(sound.records, 3, { subject: 'key:other' });
    const end = { organisationId: 'default', sequence: LENGTH, hash: records.at(-1)?.hash ?? '' };
    const anew = records
      .filter(({ sequence }) => sequence % CHECKPOINT_EVERY === 0)
      .map((record) => ({ ...checkpointAt(record), keyId: 'mine' }));
    expect(await firstBad(with_(records, { end, checkpoints: anew }))).toBe('bad checkpoint 100');
    expect(await firstBad(with_(records, { end, checkpoints: [] }))).toBe('bad checkpoint 100');
    const few = rewritten(chainOf(50).records, 3, { subject: 'key:other' });
    const fewEnd = { organisationId: 'default', sequence: 50, hash: few.at(-1)?.hash ?? '' };
    expect(await firstBad({ records: few, witnesses: { ...chainOf(50).witnesses, end: fewEnd } })).toBe('changed 1');
  });

  test('is bad when anything of a checkpoint, or of the mark of its end, was changed', async () => {
    const [first, second] = sound.witnesses.checkpoints as [AuditCheckpoint, AuditCheckpoint];
    for (const field of Object.keys(first) as (keyof AuditCheckpoint)[]) {
      const changed = { ...first, [field]: flipped(first[field], 0) };
      expect(await firstBad(with_(sound.records, { checkpoints: [changed, second] }))).not.toBeNull();
    }
    const { end } = sound.witnesses;
    if (end === null) throw new Error('no end');
    expect(await firstBad(with_(sound.records, { end: null }))).toBe('bad checkpoint 230');
    expect(await firstBad(with_(sound.records, { end: { ...end, hash: GENESIS_HASH } }))).toBe('changed 230');
    expect(await firstBad(with_(sound.records, { end: { ...end, sequence: 231 } }))).toBe('cut off 231');
    expect(await firstBad(with_(sound.records, { end: { ...end, sequence: 229 } }))).toBe('added 230');
  });

  test('is cut off when all of it is gone, and somebody remembers', async () => {
    expect(await firstBad({ records: [], witnesses: sound.witnesses })).toBe('cut off 1');
    expect(await firstBad({ records: [], witnesses: { ...sound.witnesses, end: null, checkpoints: [] } })).toBe(
      'cut off 1',
    );
  });
});

/** Another value of the same kind; of a text one character is another one. */
function flipped(value: string | number | null, position: number): string | number {
  if (value === null) return 'x';
  if (typeof value === 'number') return value + 1 + (position % 3);
  const at = position % value.length;
  return value.slice(0, at) + String.fromCharCode(value.charCodeAt(at) ^ 1) + value.slice(at + 1);
}
