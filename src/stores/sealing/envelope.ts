import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { Secret } from '../../core/secret.ts';

/** A secret as it may lie on a disk: encrypted with a key of its own, which is encrypted with a master key. */
export interface SealedSecret {
  /** Which master key. */
  readonly masterKeyId: string;
  /** Counts the values that this record has had: an older one in its place does not open. */
  readonly version: number;
  /** Both base64: nonce, tag and ciphertext of AES-256-GCM (NIST SP 800-38D). */
  readonly dataKey: string;
  readonly value: string;
}

/** It was sealed with a master key that is not here. */
export class UnknownMasterKey extends Error {
  override readonly name = 'UnknownMasterKey';
}

/** What it is sealed as, so that it opens nowhere else: `provider/default/openrouter`. */
export type RecordName = string;

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';

/** The master keys at hand: the first seals, the others only open what was sealed with them. */
export class MasterKeys {
  readonly #keys: readonly { readonly id: string; readonly bytes: Buffer }[];

  /** @param keys each 64 hexadecimal digits; at least one */
  constructor(keys: readonly [Secret, ...Secret[]]) {
    this.#keys = keys.map((key) => {
      const bytes = Buffer.from(key.reveal(), 'hex');
      return { id: idOf(bytes), bytes };
    });
  }

  seal(secret: Secret, record: RecordName, version: number): SealedSecret {
    const dataKey = randomBytes(KEY_BYTES);
    const { id, bytes } = this.#first;
    const bound = boundTo(record, version);
    return {
      masterKeyId: id,
      version,
      dataKey: encrypt(bytes, dataKey, `${bound}/data-key`),
      value: encrypt(dataKey, Buffer.from(secret.reveal(), 'utf8'), bound),
    };
  }

  /** @throws UnknownMasterKey; Error when it was changed, or was sealed as another record or version */
  open(sealed: SealedSecret, record: RecordName): Secret {
    const bound = boundTo(record, sealed.version);
    return new Secret(decrypt(this.#dataKeyOf(sealed, bound), sealed.value, bound).toString('utf8'));
  }

  /** Whether the first master key would open it. */
  isCurrent({ masterKeyId }: SealedSecret): boolean {
    return masterKeyId === this.#first.id;
  }

  /** Under the first master key; what it holds stays as it is. */
  rewrap(sealed: SealedSecret, record: RecordName): SealedSecret {
    const bound = boundTo(record, sealed.version);
    const { id, bytes } = this.#first;
    const dataKey = encrypt(bytes, this.#dataKeyOf(sealed, bound), `${bound}/data-key`);
    return { ...sealed, masterKeyId: id, dataKey };
  }

  get #first() {
    const [first] = this.#keys;
    if (first === undefined) throw new Error('there is no master key');
    return first;
  }

  #dataKeyOf({ masterKeyId, dataKey }: SealedSecret, bound: string): Buffer {
    const key = this.#keys.find(({ id }) => id === masterKeyId);
    if (key === undefined)
      throw new UnknownMasterKey(`it was sealed with the master key ${masterKeyId}, which is not here`);
    return decrypt(key.bytes, dataKey, `${bound}/data-key`);
  }
}

/** Says which key it is, and nothing about it. */
function idOf(bytes: Buffer): string {
  return createHash('sha256').update('swarmrouter master key\n').update(bytes).digest('hex').slice(0, 12);
}

function boundTo(record: RecordName, version: number): string {
  return `swarmrouter/${record}/${version}`;
}

function encrypt(key: Buffer, plain: Buffer, bound: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(Buffer.from(bound, 'utf8'));
  const text = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64');
}

function decrypt(key: Buffer, sealed: string, bound: string): Buffer {
  const bytes = Buffer.from(sealed, 'base64');
  const [nonce, tag] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)];
  if (tag.length < TAG_BYTES) throw new Error('it is cut off');
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(bound, 'utf8')).setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
  } catch {
    // OpenSSL's own words tell nobody anything.
    throw new Error('it was changed, or belongs to another record or version');
  }
}
