import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { join } from 'node:path';
import type { ChainPoint } from '../core/audit.ts';
import { type AuditCheckpoint, checkpointText, type SignatureCheck } from '../core/audit-chain.ts';
import { type Fingerprint, fingerprinter } from './audit-text.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts';

const KEY_FILE = 'audit-signing-key';
const PUBLIC_FILE = 'audit-public-keys';
const ID_DIGITS = 16;
const PUBLIC_HEADING =
  '# Whose checkpoints of the audit log count here: one public key (Ed25519, SPKI, base64) a line.\n';

/** What the audit log is signed with and checked against. */
export interface AuditKeys {
  readonly keyId: string;
  /** SPKI, base64. */
  readonly publicKey: string;
  /** From now on, and after a restart, checkpoints of these count too. */
  trust(publicKeys: readonly string[]): Promise<void>;
  sign(point: ChainPoint, atMs: number): AuditCheckpoint;
  readonly check: SignatureCheck;
  readonly fingerprint: Fingerprint;
}

/**
 * The Ed25519 key in `<dataDir>/audit-signing-key`, made at first use, and the public keys that count, its own among
 * them, in `<dataDir>/audit-public-keys`: a new key leaves what the old one signed good.
 * @throws Error when a file cannot be used or does not hold keys; it names the file and the fix.
 */
export async function loadAuditKeys(dataDir: string): Promise<AuditKeys> {
  const pem = await loadOrCreateKey(join(dataDir, KEY_FILE));
  const own = parseKey(pem, join(dataDir, KEY_FILE));
  const publicKey = publicText(own);
  const path = join(dataDir, PUBLIC_FILE);
  const known = new Map(await knownKeys(path, [publicKey]));
  const keyId = idOf(publicKey);
  return {
    keyId,
    publicKey,
    trust: async (publicKeys) => {
      if (publicKeys.every((key) => known.has(idOf(key)))) return;
      for (const [id, key] of await knownKeys(path, publicKeys)) known.set(id, key);
    },
    sign: (point, atMs) => {
      const unsigned = { ...point, atMs, keyId };
      return { ...unsigned, signature: sign(null, Buffer.from(checkpointText(unsigned)), own).toString('base64') };
    },
    check: (checkpoint) => {
      const key = known.get(checkpoint.keyId);
      if (key === undefined) return 'unknownKey';
      const signature = Buffer.from(checkpoint.signature, 'base64');
      // Base64 of other letters may mean the same bytes: what is kept must be what was written.
      if (signature.toString('base64') !== checkpoint.signature) return 'wrong';
      return verify(null, Buffer.from(checkpointText(checkpoint)), key, signature) ? 'good' : 'wrong';
    },
    fingerprint: fingerprinter(createHash('sha256').update(`fingerprints\n${pem}`).digest('hex')),
  };
}

async function loadOrCreateKey(path: string): Promise<string> {
  const stored = await readPrivateFile(path);
  if (stored !== null) return stored;
  const made = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  if (await createPrivateFile(path, made)) return made;
  const winners = await readPrivateFile(path);
  if (winners === null) throw new Error(`The file ${path} vanished while it was read. Start again.`);
  return winners;
}

function parseKey(pem: string, path: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // What it says of the text helps nobody, and might show some of it.
  }
  throw new Error(
    `The file ${path} does not hold the key that the audit log is signed with (expected an Ed25519 key in PEM). ` +
      'Put it back from a backup, or delete it: a new one is made, and what the old one signed stays good.',
  );
}

/** By id. Adds those that must be in the file where they are not in it. */
async function knownKeys(path: string, needed: readonly string[]): Promise<ReadonlyMap<string, KeyObject>> {
  const text = (await readPrivateFile(path)) ?? PUBLIC_HEADING;
  const lines = text.split('\n').map((line) => line.trim());
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'));
  const added = needed.filter((key) => !keys.includes(key));
  if (added.length > 0) await replacePrivateFile(path, `${[text.trimEnd(), ...added].join('\n')}\n`);
  keys.push(...added);
  return new Map(keys.map((key) => [idOf(key), parsePublic(key, path)]));
}

function parsePublic(text: string, path: string): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
  } catch {
    throw new Error(
      `The file ${path} has a line that is no public key: "${text.slice(0, 60)}" (expected an Ed25519 key as SPKI in base64). Correct it or take it out.`,
    );
  }
}

function publicText(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
}

function idOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, ID_DIGITS);
}
