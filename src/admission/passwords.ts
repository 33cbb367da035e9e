import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** What a password's hash costs to make: 32 MiB and some tens of ms. OWASP's list of scrypt parameters, RFC 7914. */
const COST_BITS = 15;
const BLOCK_SIZE = 8;
const PARALLEL = 3;
const HASH_BYTES = 32;
const MAX_MEMORY_BYTES = 128 * 2 ** 20;
/** At once: each keeps a core busy and 32 MiB. */
const MOST_AT_ONCE = 2;
const MOST_WAITING = 200;

export const PASSWORD_CHARACTERS = { least: 12, most: 256 } as const;

/** So many wait for their password to be checked that one more would wait too long. */
export class TooManyLogins extends Error {
  override readonly name = 'TooManyLogins';
}

/** `scrypt$15$8$3$salt$hash`: a hash that says how it was made, so that later ones may cost more. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, { bits: COST_BITS, block: BLOCK_SIZE, parallel: PARALLEL });
  return ['scrypt', COST_BITS, BLOCK_SIZE, PARALLEL, salt.toString('base64url'), hash.toString('base64url')].join('$');
}

/** Off the loop, in turns. Rejects with TooManyLogins. */
export async function isPassword(password: string, stored: string): Promise<boolean> {
  const [kind, bits, block, parallel, salt = '', hash = ''] = stored.split('$');
  if (kind !== 'scrypt') throw new Error('What is stored of a password is not the kind of hash that is known here.');
  const expected = Buffer.from(hash, 'base64url');
  const cost = { bits: Number(bits), block: Number(block), parallel: Number(parallel) };
  const actual = await derive(password, Buffer.from(salt, 'base64url'), cost);
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}

let decoy: Promise<string> | null = null;

/** Takes as long as a wrong password: who is not there is not told from who is. */
export async function wasteAsMuch(password: string): Promise<false> {
  decoy ??= hashPassword(randomBytes(16).toString('hex'));
  await isPassword(password, await decoy);
  return false;
}

interface Cost {
  readonly bits: number;
  readonly block: number;
  readonly parallel: number;
}

let running = 0;
const waiting: (() => void)[] = [];

async function derive(password: string, salt: Buffer, { bits, block, parallel }: Cost): Promise<Buffer> {
  if (running >= MOST_AT_ONCE) {
    if (waiting.length >= MOST_WAITING) throw new TooManyLogins('Too many passwords are being checked.');
    // Whoever is done hands its place on, and it stays counted.
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running++;
  try {
    return await new Promise((resolve, reject) => {
      const options = { N: 2 ** bits, r: block, p: parallel, maxmem: MAX_MEMORY_BYTES };
      // One form for what may be typed in two ways, as RFC 8265 wants it.
      scrypt(password.normalize('NFC'), salt, HASH_BYTES, options, (error, key) => {
        // Bun says undefined where Node says null.
        if (error) reject(error);
        else resolve(key);
      });
    });
  } finally {
    const next = waiting.shift();
    if (next === undefined) running--;
    else next();
  }
}
